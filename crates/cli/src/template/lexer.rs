//! From text to pieces: what stands between actions, and the tokens inside them.

use super::TemplateError;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Copied as it stands.
    Text(String),
    /// What stood between `{{` and `}}`, and its line.
    Action(Vec<Token>, usize),
}

/// A token of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// `.`
    Dot,
    /// `.Name`, directly behind the token before it if `joined`.
    Field { name: String, joined: bool },
    /// `$` (empty) or `$name`.
    Variable(String),
    /// A keyword or function.
    Word(String),
    /// A string.
    Text(String),
    /// A whole number, also of a character.
    Whole(i64),
    /// A number with a fraction.
    Real(f64),
    /// `|`
    Pipe,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
}

/// Cuts a template into pieces.
pub fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut line = 1;
    let mut trim_next = false;
    loop {
        let (text, behind) = match rest.split_once("{{") {
            Some((text, behind)) => (text, Some(behind)),
            None => (rest, None),
        };
        let mut kept = if trim_next { text.trim_start() } else { text };
        line += text.matches('\n').count();
        let Some(behind) = behind else {
            push_text(&mut pieces, kept);
            return Ok(pieces);
        };
        let (trim_before, body) = match behind.strip_prefix('-') {
            Some(body) if body.starts_with(char::is_whitespace) => (true, body),
            _ => (false, behind),
        };
        if trim_before {
            kept = kept.trim_end();
        }
        push_text(&mut pieces, kept);
        let (tokens, after, trim_after) = action(body, line)?;
        line += body.get(..body.len() - after.len()).unwrap_or_default().matches('\n').count();
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens, line));
        }
        trim_next = trim_after;
        rest = after;
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Tokens (`None` for a comment), what follows the action, and whether blanks behind it are dropped.
type Action<'t> = (Option<Vec<Token>>, &'t str, bool);

fn action(body: &str, line: usize) -> Result<Action<'_>, TemplateError> {
    let fail = |message: &str| TemplateError { line, message: message.to_owned() };
    if let Some(comment) = body.trim_start().strip_prefix("/*") {
        let (_, behind) = comment.split_once("*/").ok_or_else(|| fail("unclosed comment"))?;
        if let Some(after) = behind.strip_prefix("}}") {
            return Ok((None, after, false));
        }
        let after =
            behind.trim_start().strip_prefix("-}}").ok_or_else(|| fail("comment ends before closing delimiter"))?;
        return Ok((None, after, true));
    }
    let mut tokens = Vec::new();
    let mut rest = body;
    let mut blank_before = true;
    loop {
        let trimmed = rest.trim_start();
        blank_before |= trimmed.len() != rest.len();
        if let Some(after) = trimmed.strip_prefix("}}") {
            return Ok((Some(tokens), after, false));
        }
        if let (true, Some(after)) = (trimmed.len() != rest.len(), trimmed.strip_prefix("-}}")) {
            return Ok((Some(tokens), after, true));
        }
        let joined = !blank_before;
        let (token, after) = token(trimmed, joined, line)?;
        tokens.push(token);
        rest = after;
        blank_before = false;
    }
}

fn token(text: &str, joined: bool, line: usize) -> Result<(Token, &str), TemplateError> {
    let fail = |message: String| TemplateError { line, message };
    let Some(first) = text.chars().next() else { return Err(fail("unclosed action".into())) };
    let after_first = text.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '|' => Ok((Token::Pipe, after_first)),
        '(' => Ok((Token::Open, after_first)),
        ')' => Ok((Token::Close, after_first)),
        ',' => Ok((Token::Comma, after_first)),
        '=' => Ok((Token::Assign, after_first)),
        ':' => match after_first.strip_prefix('=') {
            Some(after) => Ok((Token::Declare, after)),
            None => Err(fail("expected :=".into())),
        },
        '"' => quoted(after_first, line),
        '`' => match after_first.split_once('`') {
            Some((raw, after)) => Ok((Token::Text(raw.to_owned()), after)),
            None => Err(fail("unterminated raw quoted string".into())),
        },
        '\'' => character(after_first, line),
        '$' => {
            let (name, after) = word(after_first);
            Ok((Token::Variable(name.to_owned()), after))
        }
        '.' if !after_first.starts_with(|c: char| c.is_ascii_digit()) => {
            let (name, after) = word(after_first);
            if name.is_empty() {
                return Ok((Token::Dot, after));
            }
            Ok((Token::Field { name: name.to_owned(), joined }, after))
        }
        c if c.is_ascii_digit() || c == '-' || c == '+' || c == '.' => number(text, line),
        c if c.is_alphabetic() || c == '_' => {
            let (name, after) = word(text);
            Ok((Token::Word(name.to_owned()), after))
        }
        c => Err(fail(format!("unexpected {c:?} in command"))),
    }
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

fn number(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let is_part = |(at, c): (usize, char)| {
        c.is_ascii_alphanumeric() || c == '.' || c == '_' || (at == 0 && (c == '-' || c == '+'))
    };
    let end = text.char_indices().find(|pair| !is_part(*pair)).map_or(text.len(), |(at, _)| at);
    let (digits, after) = text.split_at(end);
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let token = match hex {
        Some(hex) => i64::from_str_radix(hex, 16).ok().map(Token::Whole),
        None => digits.parse().map(Token::Whole).or_else(|_| digits.parse().map(Token::Real)).ok(),
    };
    let token = token.filter(|token| !matches!(token, Token::Real(real) if !real.is_finite()));
    let token = token.ok_or_else(|| TemplateError { line, message: format!("bad number syntax: {digits:?}") })?;
    Ok((token, after))
}

fn character(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let fail = || TemplateError { line, message: "malformed character constant".into() };
    let mut chars = text.chars();
    let value = match chars.next().ok_or_else(fail)? {
        '\\' => escape(&mut chars).ok_or_else(fail)?,
        c => c,
    };
    let after = chars.as_str().strip_prefix('\'').ok_or_else(fail)?;
    Ok((Token::Whole(i64::from(u32::from(value))), after))
}

fn quoted(text: &str, line: usize) -> Result<(Token, &str), TemplateError> {
    let fail = |message: &str| TemplateError { line, message: message.to_owned() };
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next() {
            None | Some('\n') => return Err(fail("unterminated quoted string")),
            Some('"') => return Ok((Token::Text(value), chars.as_str())),
            Some('\\') => value.push(escape(&mut chars).ok_or_else(|| fail("invalid escape in quoted string"))?),
            Some(c) => value.push(c),
        }
    }
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let digits = match chars.next()? {
        'n' => return Some('\n'),
        't' => return Some('\t'),
        'r' => return Some('\r'),
        'a' => return Some('\x07'),
        'b' => return Some('\x08'),
        'f' => return Some('\x0c'),
        'v' => return Some('\x0b'),
        '0' => return Some('\0'),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        c @ ('\\' | '"' | '\'') => return Some(c),
        _ => return None,
    };
    let mut number = 0u32;
    for _ in 0..digits {
        number = number.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?)?;
    }
    char::from_u32(number)
}

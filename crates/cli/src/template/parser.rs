//! From pieces to a tree.

use super::TemplateError;
use super::lexer::{Piece, Token, pieces};

/// Deepest nesting of blocks and parentheses.
const DEEPEST: usize = 64;

/// A node of a template.
#[derive(Clone, Debug)]
pub enum Node {
    /// Copied.
    Text(String),
    /// Printed unless it declares.
    Action { pipe: Pipe, line: usize },
    /// `if` and `with`, with their `else if` chain; `with` sets the dot.
    Choice { arms: Vec<Arm>, otherwise: Vec<Node>, line: usize },
    /// `range`.
    Range { pipe: Pipe, body: Vec<Node>, otherwise: Vec<Node>, line: usize },
    /// `break`, `continue`.
    Jump { out: bool },
}

/// One arm of a choice.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What decides.
    pub pipe: Pipe,
    /// The value becomes the dot.
    pub with: bool,
    /// What is carried out.
    pub body: Vec<Node>,
}

/// `$x, $y := a | b | c`
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    /// Variables that get the value.
    pub names: Vec<String>,
    /// `=` instead of `:=`.
    pub assign: bool,
    /// The commands, first to last.
    pub commands: Vec<Command>,
}

/// Operands: an operand alone, or a function with its arguments.
pub type Command = Vec<Operand>;

/// An operand with the fields taken from it.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Where it starts.
    pub base: Base,
    /// `.A.B`
    pub fields: Vec<String>,
}

/// Where an operand starts.
#[derive(Clone, Debug)]
pub enum Base {
    /// `.`
    Dot,
    /// `$name`
    Variable(String),
    /// A literal.
    Literal(serde_json::Value),
    /// A function.
    Function(String),
    /// `( … )`
    Group(Box<Pipe>),
}

/// Reads a template.
pub fn parse(text: &str) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser { pieces: pieces(text)?.into_iter(), depth: 0, loops: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(TemplateError { line: end.line, message: format!("unexpected {{{{{}}}}}", end.word) }),
    }
}

/// What ended a block: `end` or `else` with the tokens behind it.
struct End {
    word: String,
    rest: Vec<Token>,
    line: usize,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
    loops: usize,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Option<End>), TemplateError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(TemplateError { line: 1, message: format!("blocks nested deeper than {DEEPEST}") });
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (tokens, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens, line) => (tokens, line),
            };
            match tokens.first() {
                Some(Token::Word(word)) if word == "end" || word == "else" => {
                    self.depth -= 1;
                    let end = End { word: word.clone(), rest: tokens.get(1..).unwrap_or_default().to_vec(), line };
                    return Ok((nodes, Some(end)));
                }
                Some(Token::Word(word)) => {
                    let node = self.statement(&word.clone(), &tokens, line)?;
                    nodes.push(node);
                }
                _ => nodes.push(Node::Action { pipe: whole_pipe(&tokens, line)?, line }),
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn statement(&mut self, word: &str, tokens: &[Token], line: usize) -> Result<Node, TemplateError> {
        let rest = tokens.get(1..).unwrap_or_default();
        match word {
            "if" => self.choice(rest, false, line),
            "with" => self.choice(rest, true, line),
            "range" => self.range(rest, line),
            "break" | "continue" if self.loops == 0 => {
                Err(TemplateError { line, message: format!("{{{{{word}}}}} outside {{{{range}}}}") })
            }
            "break" | "continue" => Ok(Node::Jump { out: word == "break" }),
            "define" | "template" | "block" => {
                Err(TemplateError { line, message: format!("{{{{{word}}}}} is not supported in --format") })
            }
            _ => Ok(Node::Action { pipe: whole_pipe(tokens, line)?, line }),
        }
    }

    fn choice(&mut self, tokens: &[Token], with: bool, line: usize) -> Result<Node, TemplateError> {
        let mut arms = Vec::new();
        let mut next = (tokens.to_vec(), with);
        loop {
            let pipe = whole_pipe(&next.0, line)?;
            let (body, end) = self.block()?;
            arms.push(Arm { pipe, with: next.1, body });
            let end = end.ok_or_else(|| unclosed(line))?;
            if end.word == "end" {
                return Ok(Node::Choice { arms, otherwise: Vec::new(), line });
            }
            match end.rest.first() {
                None => {
                    let otherwise = self.closing_block(line)?;
                    return Ok(Node::Choice { arms, otherwise, line });
                }
                Some(Token::Word(word)) if word == "if" || word == "with" => {
                    next = (end.rest.get(1..).unwrap_or_default().to_vec(), word == "with");
                }
                Some(_) => return Err(TemplateError { line: end.line, message: "unexpected token in else".into() }),
            }
        }
    }

    fn range(&mut self, tokens: &[Token], line: usize) -> Result<Node, TemplateError> {
        let pipe = whole_pipe(tokens, line)?;
        self.loops += 1;
        let (body, end) = self.block()?;
        self.loops -= 1;
        let end = end.ok_or_else(|| unclosed(line))?;
        let otherwise = if end.word == "else" { self.closing_block(line)? } else { Vec::new() };
        Ok(Node::Range { pipe, body, otherwise, line })
    }

    fn closing_block(&mut self, line: usize) -> Result<Vec<Node>, TemplateError> {
        match self.block()? {
            (nodes, Some(end)) if end.word == "end" => Ok(nodes),
            (_, Some(end)) => Err(TemplateError { line: end.line, message: "expected end; found {{else}}".into() }),
            (_, None) => Err(unclosed(line)),
        }
    }
}

fn unclosed(line: usize) -> TemplateError {
    TemplateError { line, message: "unexpected EOF".into() }
}

/// A pipe that uses all tokens.
fn whole_pipe(tokens: &[Token], line: usize) -> Result<Pipe, TemplateError> {
    let mut reader = PipeReader { tokens, at: 0, line, depth: 0 };
    let pipe = reader.pipe(false)?;
    match reader.tokens.get(reader.at) {
        None => Ok(pipe),
        Some(_) => Err(reader.fail("unexpected right paren")),
    }
}

struct PipeReader<'t> {
    tokens: &'t [Token],
    at: usize,
    line: usize,
    depth: usize,
}

impl PipeReader<'_> {
    fn fail(&self, message: &str) -> TemplateError {
        TemplateError { line: self.line, message: message.to_owned() }
    }

    fn declaration(&mut self) -> (Vec<String>, bool) {
        let (names, used) = match self.tokens.get(self.at..).unwrap_or_default() {
            [Token::Variable(one), Token::Declare | Token::Assign, ..] => (vec![one.clone()], 2),
            [Token::Variable(one), Token::Comma, Token::Variable(two), Token::Declare | Token::Assign, ..] => {
                (vec![one.clone(), two.clone()], 4)
            }
            _ => return (Vec::new(), false),
        };
        let assign = self.tokens.get(self.at + used - 1) == Some(&Token::Assign);
        self.at += used;
        (names, assign)
    }

    fn pipe(&mut self, inside: bool) -> Result<Pipe, TemplateError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fail("parentheses nested too deep"));
        }
        let (names, assign) = self.declaration();
        let mut commands = Vec::new();
        let mut command = Command::new();
        loop {
            match self.tokens.get(self.at) {
                None if inside => return Err(self.fail("unclosed left paren")),
                None | Some(Token::Close) => break,
                Some(Token::Pipe) => {
                    self.at += 1;
                    if command.is_empty() {
                        return Err(self.fail("missing value for command"));
                    }
                    commands.push(std::mem::take(&mut command));
                }
                Some(_) => {
                    let operand = self.operand()?;
                    command.push(operand);
                }
            }
        }
        if command.is_empty() {
            return Err(self.fail("missing value for command"));
        }
        commands.push(command);
        self.depth -= 1;
        Ok(Pipe { names, assign, commands })
    }

    fn operand(&mut self) -> Result<Operand, TemplateError> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| self.fail("missing operand"))?;
        self.at += 1;
        let mut fields = Vec::new();
        let base = match token {
            Token::Dot => Base::Dot,
            Token::Field { name, .. } => {
                fields.push(name);
                Base::Dot
            }
            Token::Variable(name) => Base::Variable(name),
            Token::Text(text) => Base::Literal(text.into()),
            Token::Whole(number) => Base::Literal(number.into()),
            Token::Real(number) => Base::Literal(number.into()),
            Token::Word(word) => match word.as_str() {
                "true" => Base::Literal(true.into()),
                "false" => Base::Literal(false.into()),
                "nil" => Base::Literal(serde_json::Value::Null),
                _ => Base::Function(word),
            },
            Token::Open => {
                let pipe = self.pipe(true)?;
                self.at += 1;
                Base::Group(Box::new(pipe))
            }
            Token::Close | Token::Pipe | Token::Declare | Token::Assign | Token::Comma => {
                return Err(self.fail("unexpected token in operand"));
            }
        };
        while let Some(Token::Field { name, joined: true }) = self.tokens.get(self.at) {
            fields.push(name.clone());
            self.at += 1;
        }
        Ok(Operand { base, fields })
    }
}

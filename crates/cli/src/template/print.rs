//! Values as Go's `fmt` prints them.

use serde_json::Value;

/// Widest field and longest precision that `printf` is allowed.
const WIDEST: usize = 4096;

/// `%v`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => number.as_u64().map_or_else(|| real(number.as_f64().unwrap_or(0.0)), |whole| whole.to_string()),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// Go's `%v` of a float: `%g` with the shortest digits; an exponent below -4 or from 21 on.
fn real(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let power: i32 = exponent.parse().unwrap_or(0);
        return format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    format!("{number}")
}

/// Go's `strconv.Quote`.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\x0b' => quoted.push_str("\\v"),
            c if c.is_control() && u32::from(c) < 0x80 => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `print`: a blank between operands when neither is a string.
pub fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| values.get(before));
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            text.push(' ');
        }
        text.push_str(&plain(value));
    }
    text
}

#[derive(Default)]
struct Spec {
    minus: bool,
    zero: bool,
    plus: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// `printf`.
pub fn printf(format: &str, values: &[Value]) -> String {
    let mut text = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '0' | '+' | '#' | ' ')) {
            match flag {
                '-' => spec.minus = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                _ => {}
            }
        }
        spec.width = digits(&mut chars).unwrap_or(0).min(WIDEST);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars).unwrap_or(0).min(WIDEST));
        }
        let Some(verb) = chars.next() else {
            text.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            text.push('%');
            continue;
        }
        match values.next() {
            None => text.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => text.push_str(&padded(&one(verb, value, &spec), &spec, verb)),
        }
    }
    let left: Vec<String> = values.map(|value| format!("{}={}", kind(value), plain(value))).collect();
    if !left.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    text
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
        number = Some(number.unwrap_or(0usize).saturating_mul(10).saturating_add(digit as usize));
    }
    number
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn one(verb: char, value: &Value, spec: &Spec) -> String {
    let wrong = || format!("%!{verb}({}={})", kind(value), plain(value));
    let sign = |text: String, negative: bool| if spec.plus && !negative { format!("+{text}") } else { text };
    match (verb, value) {
        ('v', _) => plain(value),
        ('s', Value::String(text)) => match spec.precision {
            Some(count) => text.chars().take(count).collect(),
            None => text.clone(),
        },
        ('s', Value::Array(_) | Value::Object(_)) => plain(value),
        ('q', Value::String(text)) => quote(text),
        ('q', Value::Array(items)) => {
            format!("[{}]", items.iter().map(|item| one('q', item, spec)).collect::<Vec<_>>().join(" "))
        }
        ('t', Value::Bool(flag)) => flag.to_string(),
        ('T', _) => kind(value).into(),
        ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('f' | 'F', Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(0.0);
            sign(format!("{number:.*}", spec.precision.unwrap_or(6)), number < 0.0)
        }
        ('g', Value::Number(number)) => real(number.as_f64().unwrap_or(0.0)),
        ('e', Value::Number(number)) => format!("{:.*e}", spec.precision.unwrap_or(6), number.as_f64().unwrap_or(0.0)),
        (_, Value::Number(number)) => match number.as_i64() {
            Some(whole) => whole_number(verb, whole, spec).map_or_else(wrong, |text| sign(text, whole < 0)),
            None => wrong(),
        },
        _ => wrong(),
    }
}

fn whole_number(verb: char, whole: i64, spec: &Spec) -> Option<String> {
    let sign = if whole < 0 { "-" } else { "" };
    let size = whole.unsigned_abs();
    let prefix = |text: &'static str| if spec.sharp { text } else { "" };
    Some(match verb {
        'd' => whole.to_string(),
        'x' => format!("{sign}{}{size:x}", prefix("0x")),
        'X' => format!("{sign}{}{size:X}", prefix("0X")),
        'o' => format!("{sign}{}{size:o}", prefix("0")),
        'b' => format!("{sign}{size:b}"),
        'c' => u32::try_from(whole).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        _ => return None,
    })
}

fn padded(text: &str, spec: &Spec, verb: char) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if spec.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if spec.zero && verb != 'q' {
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}

//! Go's and Docker's template functions.

use std::cmp::Ordering;

use serde_json::Value;

use super::print;

/// Longest text that `pad` makes.
const WIDEST: i64 = 4096;

/// Calls a function. The error is a sentence without place.
pub fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("json", [value]) => serde_json::to_string(value).map(Value::from).map_err(|error| error.to_string()),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 3 => slice(value, bounds),
        ("not", [value]) => Ok((!truth(value)).into()),
        ("eq", [first, others @ ..]) if !others.is_empty() => equal_to_any(first, others),
        ("ne", [first, second]) => Ok((!equal(first, second)?).into()),
        ("lt", [first, second]) => Ok((order(first, second)? == Ordering::Less).into()),
        ("le", [first, second]) => Ok((order(first, second)? != Ordering::Greater).into()),
        ("gt", [first, second]) => Ok((order(first, second)? == Ordering::Greater).into()),
        ("ge", [first, second]) => Ok((order(first, second)? != Ordering::Less).into()),
        ("print", values) => Ok(print::print(values).into()),
        ("println", values) => {
            Ok(format!("{}\n", values.iter().map(print::plain).collect::<Vec<_>>().join(" ")).into())
        }
        ("printf", [Value::String(format), values @ ..]) => Ok(print::printf(format, values).into()),
        ("html" | "js" | "urlquery", values) => Ok(escaped(name, &print::print(values)).into()),
        _ => text_function(name, arguments),
    }
}

/// Docker's own.
fn text_function(name: &str, arguments: &[Value]) -> Result<Value, String> {
    match (name, arguments) {
        ("split", [Value::String(text), Value::String(separator)]) => {
            if separator.is_empty() {
                return Ok(text.chars().map(|c| Value::from(c.to_string())).collect::<Vec<_>>().into());
            }
            Ok(text.split(separator.as_str()).map(Value::from).collect::<Vec<_>>().into())
        }
        ("join", [items, Value::String(separator)]) => join(items, separator),
        ("title", [Value::String(text)]) => Ok(title(text).into()),
        ("lower", [Value::String(text)]) => Ok(text.to_lowercase().into()),
        ("upper", [Value::String(text)]) => Ok(text.to_uppercase().into()),
        ("trim", [Value::String(text)]) => Ok(text.trim().into()),
        ("pad", [Value::String(text), before, after]) => {
            let blanks = |count: &Value| " ".repeat(count.as_i64().unwrap_or(0).clamp(0, WIDEST) as usize);
            if text.is_empty() {
                return Ok("".into());
            }
            Ok(format!("{}{text}{}", blanks(before), blanks(after)).into())
        }
        ("truncate", [Value::String(text), count]) => {
            let count = count.as_i64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
            Ok(text.chars().take(count).collect::<String>().into())
        }
        ("split" | "join" | "title" | "lower" | "upper" | "trim" | "pad" | "truncate", _) => {
            Err(format!("error calling {name}: wrong number or type of arguments"))
        }
        ("json" | "len" | "index" | "slice" | "not" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "printf", given) => {
            Err(format!("wrong number or type of args for {name}: got {}", given.len()))
        }
        _ => Err(format!("function {name:?} not defined")),
    }
}

/// True for the name of any function here.
pub fn exists(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "json", "len", "index", "slice", "not", "eq", "ne", "lt", "le", "gt", "ge", "print", "println", "printf",
        "html", "js", "urlquery", "split", "join", "title", "lower", "upper", "trim", "pad", "truncate", "and", "or",
    ];
    NAMES.contains(&name)
}

/// What a function does to a column's title: Docker leaves it alone.
pub fn header_call(name: &str, arguments: &[Value]) -> Option<Value> {
    match name {
        "json" | "split" | "join" | "title" | "lower" | "upper" | "pad" | "truncate" | "trim" => {
            arguments.first().cloned()
        }
        "println" => Some(format!("{}\n", arguments.iter().map(print::plain).collect::<Vec<_>>().join(" ")).into()),
        _ => None,
    }
}

/// Go's truth: anything but false, 0, nil and what is empty.
pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    match value {
        Value::Null => Ok(0.into()),
        Value::String(text) => Ok(text.len().into()),
        Value::Array(items) => Ok(items.len().into()),
        Value::Object(map) => Ok(map.len().into()),
        Value::Bool(_) | Value::Number(_) => Err(format!("error calling len: len of {}", print::plain(value))),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(map), Value::String(key)) => {
            // A missing key is the zero value of what the map holds.
            let zero = match map.values().next() {
                None | Some(Value::String(_)) => Value::from(""),
                Some(_) => Value::Null,
            };
            Ok(map.get(key).cloned().unwrap_or(zero))
        }
        (Value::Array(items), Value::Number(_)) => key
            .as_i64()
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| items.get(at))
            .cloned()
            .ok_or_else(|| format!("error calling index: index out of range: {}", print::plain(key))),
        (Value::String(text), Value::Number(_)) => key
            .as_i64()
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| text.as_bytes().get(at))
            .map(|byte| (*byte).into())
            .ok_or_else(|| format!("error calling index: index out of range: {}", print::plain(key))),
        (Value::Null, Value::String(_)) => Ok(Value::Null),
        (Value::Null, _) => Err("error calling index: index of nil pointer".into()),
        _ => Err(format!("error calling index: cannot index {} with {}", print::plain(value), print::plain(key))),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        _ => return Err("error calling slice: can't slice item".into()),
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(bound) => bound
            .as_i64()
            .and_then(|bound| usize::try_from(bound).ok())
            .filter(|bound| *bound <= length)
            .ok_or_else(|| format!("error calling slice: index out of range: {}", print::plain(bound))),
    };
    let (from, to) = (bound(0, 0)?, bound(1, length)?);
    let bad = || format!("error calling slice: invalid slice index: {from} > {to}");
    match value {
        Value::String(text) => text.get(from..to).map(Value::from).ok_or_else(bad),
        Value::Array(items) => items.get(from..to).map(|items| items.to_vec().into()).ok_or_else(bad),
        _ => Err(bad()),
    }
}

fn equal_to_any(first: &Value, others: &[Value]) -> Result<Value, String> {
    for other in others {
        if equal(first, other)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn equal(first: &Value, second: &Value) -> Result<bool, String> {
    match (first, second) {
        (Value::Number(a), Value::Number(b)) => Ok(a == b || a.as_f64() == b.as_f64()),
        (Value::Null, _) | (_, Value::Null) => Ok(first == second),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        _ => Err("error calling eq: incompatible types for comparison".into()),
    }
}

fn order(first: &Value, second: &Value) -> Result<Ordering, String> {
    match (first, second) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => {
            if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
                return Ok(a.cmp(&b));
            }
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            a.partial_cmp(&b).ok_or_else(|| "error calling lt: invalid number".to_owned())
        }
        _ => Err("error calling lt: incompatible types for comparison".into()),
    }
}

fn join(items: &Value, separator: &str) -> Result<Value, String> {
    match items {
        Value::Null => Ok("".into()),
        Value::Array(items) => Ok(items.iter().map(print::plain).collect::<Vec<_>>().join(separator).into()),
        _ => Err("error calling join: expected a list of strings".into()),
    }
}

fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if start {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        start = c.is_whitespace();
    }
    titled
}

fn escaped(name: &str, text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match (name, c) {
            ("html", '<') => escaped.push_str("&lt;"),
            ("html", '>') => escaped.push_str("&gt;"),
            ("html", '&') => escaped.push_str("&amp;"),
            ("html", '"') => escaped.push_str("&#34;"),
            ("html", '\'') => escaped.push_str("&#39;"),
            ("js", '\'' | '"' | '\\') => escaped.extend(['\\', c]),
            ("js", '<' | '>' | '&' | '=') => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            ("urlquery", ' ') => escaped.push('+'),
            ("urlquery", c) if !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~')) => {
                let mut bytes = [0; 4];
                escaped.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

//! Carrying out a template.

use std::borrow::Cow;

use serde_json::Value;

use super::parser::{Base, Command, Node, Operand, Pipe};
use super::{Scope, TemplateError, functions, print};

/// Most nodes and commands that one rendering may carry out.
const MOST_STEPS: usize = 200_000;
/// Longest output in bytes.
const LONGEST: usize = 64 << 20;

/// Objects whose keys are free: a missing one is `<no value>`, not a mistake in the template. (The names of the fields
/// of Docker's views that are maps.)
const FREE_MAPS: &[&str] = &[
    "Labels",
    "Annotations",
    "Sysctls",
    "Config",
    "Ports",
    "Networks",
    "Attributes",
    "Options",
    "Volumes",
    "ExposedPorts",
    "StorageOpt",
    "Tmpfs",
    "DriverOpts",
    "PortBindings",
    "Data",
    "LogOpts",
    "Metadata",
];
/// `Config` is a struct at the top of an inspect view and a map below `LogConfig`.
const OPTIONAL_FIELDS: &[&str] = &["Health", "Healthcheck", "SizeRw", "SizeRootFs", "Isolation", "Bulkhead", "Status"];

/// Renders.
pub fn render(nodes: &[Node], data: &Value, scope: Scope<'_>) -> Result<String, TemplateError> {
    let dot = Item { value: Cow::Borrowed(data), free: false };
    let mut run = Run { scope, variables: vec![(String::new(), dot.clone())], out: String::new(), steps: 0, line: 1 };
    run.nodes(nodes, &dot)?;
    Ok(run.out)
}

/// A value and whether its keys are free.
#[derive(Clone, Debug)]
struct Item<'d> {
    value: Cow<'d, Value>,
    free: bool,
}

impl Item<'_> {
    fn owned(value: Value) -> Self {
        Self { value: Cow::Owned(value), free: true }
    }
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'d, 's> {
    scope: Scope<'s>,
    variables: Vec<(String, Item<'d>)>,
    out: String,
    steps: usize,
    line: usize,
}

impl<'d> Run<'d, '_> {
    fn fail(&self, message: impl Into<String>) -> TemplateError {
        TemplateError { line: self.line, message: message.into() }
    }

    fn step(&mut self) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(self.fail(format!("the template needs more than {MOST_STEPS} steps")));
        }
        if self.out.len() > LONGEST {
            return Err(self.fail(format!("the output is longer than {LONGEST} bytes")));
        }
        Ok(())
    }

    /// Variables declared inside are forgotten behind it.
    fn nodes(&mut self, nodes: &[Node], dot: &Item<'d>) -> Result<Flow, TemplateError> {
        let known = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(known);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Item<'d>) -> Result<Flow, TemplateError> {
        self.step()?;
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action { pipe, line } => {
                self.line = *line;
                let item = self.pipe(pipe, dot)?;
                if pipe.names.is_empty() {
                    self.out.push_str(&print::plain(&item.value));
                } else {
                    self.declare(pipe, &[item])?;
                }
            }
            Node::Choice { arms, otherwise, line } => {
                let known = self.variables.len();
                for arm in arms {
                    self.line = *line;
                    let item = self.pipe(&arm.pipe, dot)?;
                    self.declare(&arm.pipe, std::slice::from_ref(&item))?;
                    if functions::truth(&item.value) {
                        let flow = self.nodes(&arm.body, if arm.with { &item } else { dot });
                        self.variables.truncate(known);
                        return flow;
                    }
                }
                let flow = self.nodes(otherwise, dot);
                self.variables.truncate(known);
                return flow;
            }
            Node::Range { pipe, body, otherwise, line } => {
                self.line = *line;
                return self.range(pipe, body, otherwise, dot);
            }
            Node::Jump { out } => return Ok(if *out { Flow::Break } else { Flow::Continue }),
        }
        Ok(Flow::On)
    }

    fn range(&mut self, pipe: &Pipe, body: &[Node], otherwise: &[Node], dot: &Item<'d>) -> Result<Flow, TemplateError> {
        let item = self.pipe(pipe, dot)?;
        let rounds = rounds(&item).map_err(|message| self.fail(message))?;
        if rounds.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, value) in rounds {
            match pipe.names.len() {
                1 => self.declare(pipe, std::slice::from_ref(&value))?,
                2 => self.declare(pipe, &[key, value.clone()])?,
                _ => {}
            }
            let flow = self.nodes(body, &value)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn declare(&mut self, pipe: &Pipe, items: &[Item<'d>]) -> Result<(), TemplateError> {
        for (name, item) in pipe.names.iter().zip(items) {
            if !pipe.assign {
                self.variables.push((name.clone(), item.clone()));
                continue;
            }
            match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                Some((_, old)) => *old = item.clone(),
                None => return Err(self.fail(format!("undefined variable \"${name}\""))),
            }
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Item<'d>) -> Result<Item<'d>, TemplateError> {
        let mut piped = None;
        for command in &pipe.commands {
            self.step()?;
            piped = Some(self.command(command, dot, piped)?);
        }
        piped.ok_or_else(|| self.fail("missing value for command"))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Item<'d>,
        piped: Option<Item<'d>>,
    ) -> Result<Item<'d>, TemplateError> {
        let Some((first, arguments)) = command.split_first() else {
            return Err(self.fail("missing value for command"));
        };
        match &first.base {
            Base::Function(name) if name == "and" || name == "or" => self.connect(name == "and", arguments, dot, piped),
            Base::Function(name) => {
                let mut values = Vec::with_capacity(arguments.len() + 1);
                for argument in arguments {
                    values.push(self.operand(argument, dot)?.value.into_owned());
                }
                values.extend(piped.map(|item| item.value.into_owned()));
                let result = self.call(name, &values)?;
                self.fields(Item::owned(result), &first.fields)
            }
            Base::Dot if !arguments.is_empty() || (piped.is_some() && !first.fields.is_empty()) => {
                self.method(first, arguments, dot, piped)
            }
            _ if !arguments.is_empty() || piped.is_some() => {
                Err(self.fail(format!("can't give argument to non-function {}", spelled(first))))
            }
            _ => self.operand(first, dot),
        }
    }

    fn call(&self, name: &str, values: &[Value]) -> Result<Value, TemplateError> {
        if self.scope.header
            && let Some(value) = functions::header_call(name, values)
        {
            return Ok(value);
        }
        functions::call(name, values).map_err(|message| {
            if functions::exists(name) {
                self.fail(format!("executing \"\" at <{name}>: {message}"))
            } else {
                self.fail(message)
            }
        })
    }

    /// `and`, `or`: the first value that decides; what stands behind it is not looked at.
    fn connect(
        &mut self,
        all: bool,
        arguments: &[Operand],
        dot: &Item<'d>,
        piped: Option<Item<'d>>,
    ) -> Result<Item<'d>, TemplateError> {
        let mut last = None;
        for argument in arguments {
            let item = self.operand(argument, dot)?;
            if functions::truth(&item.value) != all {
                return Ok(item);
            }
            last = Some(item);
        }
        piped.or(last).ok_or_else(|| self.fail("wrong number of args for and/or: want at least 1 got 0"))
    }

    /// The only method there is: `.Label "key"`.
    fn method(
        &mut self,
        first: &Operand,
        arguments: &[Operand],
        dot: &Item<'d>,
        piped: Option<Item<'d>>,
    ) -> Result<Item<'d>, TemplateError> {
        let argument = match arguments {
            [argument] => Some(self.operand(argument, dot)?),
            [] => piped,
            _ => None,
        };
        match (first.fields.as_slice(), argument.as_ref().map(|item| &*item.value)) {
            ([name], Some(Value::String(key))) if name == "Label" => {
                let value = if self.scope.header {
                    label_title(key)
                } else {
                    self.scope.labels.and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
                };
                Ok(Item::owned(value.into()))
            }
            _ => {
                Err(self.fail(format!("executing \"\" at <{}>: it is not a method but has arguments", spelled(first))))
            }
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Item<'d>) -> Result<Item<'d>, TemplateError> {
        self.step()?;
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Literal(value) => Item::owned(value.clone()),
            Base::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, item)) => item.clone(),
                None => return Err(self.fail(format!("undefined variable \"${name}\""))),
            },
            Base::Group(pipe) => {
                let item = self.pipe(pipe, dot)?;
                self.declare(pipe, std::slice::from_ref(&item))?;
                item
            }
            Base::Function(name) => {
                let value = self.call(name, &[])?;
                Item::owned(value)
            }
        };
        self.fields(base, &operand.fields)
    }

    fn fields(&self, mut item: Item<'d>, names: &[String]) -> Result<Item<'d>, TemplateError> {
        for (at, name) in names.iter().enumerate() {
            let top = at == 0 && names.len() > 1;
            item = self.field(item, name, top)?;
        }
        Ok(item)
    }

    fn field(&self, item: Item<'d>, name: &str, top: bool) -> Result<Item<'d>, TemplateError> {
        let free = item.free || (FREE_MAPS.contains(&name) && !(top && name == "Config"));
        let known = match &item.value {
            Cow::Borrowed(Value::Object(map)) => map.get(name).map(Cow::Borrowed),
            Cow::Owned(Value::Object(map)) => map.get(name).cloned().map(Cow::Owned),
            // A missing part of a chain stays missing, as for nil in Go's maps.
            Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) if item.free => Some(Cow::Owned(Value::Null)),
            Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => {
                return Err(
                    self.fail(format!("executing \"\" at <.{name}>: nil pointer evaluating interface {{}}.{name}"))
                );
            }
            _ => {
                return Err(
                    self.fail(format!("executing \"\" at <.{name}>: can't evaluate field {name} in a plain value"))
                );
            }
        };
        match known {
            Some(value) => Ok(Item { value, free }),
            None if item.free || self.scope.header || OPTIONAL_FIELDS.contains(&name) => {
                Ok(Item { value: Cow::Owned(Value::Null), free: item.free || self.scope.header })
            }
            None => Err(self.fail(format!("executing \"\" at <.{name}>: map has no entry for key \"{name}\""))),
        }
    }
}

fn spelled(operand: &Operand) -> String {
    let base = match &operand.base {
        Base::Variable(name) => format!("${name}"),
        Base::Literal(value) => value.to_string(),
        Base::Function(name) => name.clone(),
        Base::Dot | Base::Group(_) => String::new(),
    };
    let fields: String = operand.fields.iter().map(|field| format!(".{field}")).collect();
    if base.is_empty() && fields.is_empty() { ".".into() } else { base + &fields }
}

/// Docker's title of a label's column: the last part of its name with blanks.
fn label_title(key: &str) -> String {
    key.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")
}

/// Keys and values that `range` goes through.
fn rounds<'d>(item: &Item<'d>) -> Result<Vec<(Item<'d>, Item<'d>)>, String> {
    let numbered = |at: usize| Item::owned(at.into());
    let same = |value| Item { value, free: item.free };
    match &item.value {
        Cow::Borrowed(Value::Array(items)) => {
            Ok(items.iter().enumerate().map(|(at, value)| (numbered(at), same(Cow::Borrowed(value)))).collect())
        }
        Cow::Owned(Value::Array(items)) => {
            Ok(items.iter().enumerate().map(|(at, value)| (numbered(at), same(Cow::Owned(value.clone())))).collect())
        }
        Cow::Borrowed(Value::Object(map)) => {
            Ok(map.iter().map(|(key, value)| (Item::owned(key.clone().into()), same(Cow::Borrowed(value)))).collect())
        }
        Cow::Owned(Value::Object(map)) => Ok(map
            .iter()
            .map(|(key, value)| (Item::owned(key.clone().into()), same(Cow::Owned(value.clone()))))
            .collect()),
        Cow::Borrowed(Value::Null) | Cow::Owned(Value::Null) => Ok(Vec::new()),
        Cow::Borrowed(value) => plain_rounds(value),
        Cow::Owned(value) => plain_rounds(value),
    }
}

/// Go 1.22 ranges over a whole number.
fn plain_rounds<'d>(value: &Value) -> Result<Vec<(Item<'d>, Item<'d>)>, String> {
    match value.as_i64().and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count <= MOST_STEPS => {
            Ok((0..count).map(|at| (Item::owned(at.into()), Item::owned(at.into()))).collect())
        }
        _ => Err(format!("range can't iterate over {}", print::plain(value))),
    }
}

//! The part of Go's `text/template` that `--format` needs, over JSON values, with the functions Docker adds.
//!
//! Bounds: nesting, steps and output are limited, so that no template and no data can make it run for ever.

mod eval;
mod functions;
mod lexer;
mod parser;
mod print;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

/// Why a template cannot be read or carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: :{line}: {message}")]
pub struct TemplateError {
    /// Line of the template, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<parser::Node>,
}

/// What a template can reach besides its data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// What the method `.Label "key"` looks into.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// The data are column titles: functions that change text leave it alone, labels answer with their title.
    pub header: bool,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parser::parse(text)? })
    }

    /// Carries it out.
    pub fn render(&self, data: &Value, scope: Scope<'_>) -> Result<String, TemplateError> {
        eval::render(&self.nodes, data, scope)
    }
}

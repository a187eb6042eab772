//! `--format`: a table, a template for each row, or JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::table;
use crate::console;
use crate::failure::Result;
use crate::template::{Scope, Template};

/// A field of a row and the title of its column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// `ID`
    pub field: &'static str,
    /// `CONTAINER ID`
    pub title: &'static str,
}

/// A column.
pub const fn column(field: &'static str, title: &'static str) -> Column {
    Column { field, title }
}

/// One row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What `{{.Field}}` and `{{json .}}` see.
    pub fields: Map<String, Value>,
    /// What `{{.Label "key"}}` sees.
    pub labels: BTreeMap<String, String>,
}

impl Row {
    /// From pairs.
    pub fn new<const N: usize>(fields: [(&str, String); N]) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        Self { fields, labels: BTreeMap::new() }
    }

    /// With labels, which are also the field `Labels`.
    #[must_use]
    pub fn with_labels(mut self, labels: &BTreeMap<String, String>) -> Self {
        let joined: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.fields.insert("Labels".into(), joined.join(",").into());
        self.labels = labels.clone();
        self
    }
}

/// What `--format` asks for.
#[derive(Clone, Debug)]
pub enum Format {
    /// Lined up under titles.
    Table(Template),
    /// One line a row.
    Lines(Template),
    /// One JSON object a row.
    Json,
}

impl Format {
    /// `template` is what the user gave; without one (or with `table`) it is a table by `default`.
    pub fn parse(template: Option<&str>, default: &str) -> Result<Self> {
        let unescaped = |text: &str| text.replace("\\t", "\t").replace("\\n", "\n");
        match template.map(str::trim) {
            None | Some("" | "table") => Ok(Self::Table(Template::parse(default)?)),
            Some("json") => Ok(Self::Json),
            Some(text) => match text.strip_prefix("table") {
                Some(rest) if rest.starts_with(char::is_whitespace) => {
                    Ok(Self::Table(Template::parse(&unescaped(rest.trim_start()))?))
                }
                _ => Ok(Self::Lines(Template::parse(&unescaped(text))?)),
            },
        }
    }

    /// The text of these rows.
    pub fn render(&self, columns: &[Column], rows: &[Row]) -> Result<String> {
        let mut text = String::new();
        if let Self::Table(template) = self {
            text.push_str(&header(template, columns)?);
            text.push('\n');
        }
        for row in rows {
            text.push_str(&self.row(row)?);
            text.push('\n');
        }
        Ok(if matches!(self, Self::Table(_)) { table::align(&text) } else { text })
    }

    fn row(&self, row: &Row) -> Result<String> {
        match self {
            Self::Json => Ok(serde_json::to_string(&row.fields)?),
            Self::Lines(template) => rendered(template, &row.fields, &row.labels),
            Self::Table(template) => {
                let cell = |text: &str| console::cell(text).into_owned();
                let labels = row.labels.iter().map(|(key, value)| (key.clone(), cell(value))).collect();
                let clean = |(key, value): (&String, &Value)| match value {
                    Value::String(text) => (key.clone(), cell(text).into()),
                    other => (key.clone(), other.clone()),
                };
                rendered(template, &row.fields.iter().map(clean).collect(), &labels)
            }
        }
    }

    /// Prints these rows.
    pub fn print(&self, columns: &[Column], rows: &[Row]) -> Result<()> {
        console::out(&self.render(columns, rows)?)
    }
}

fn rendered(template: &Template, fields: &Map<String, Value>, labels: &BTreeMap<String, String>) -> Result<String> {
    let scope = Scope { labels: Some(labels), header: false };
    Ok(template.render(&Value::Object(fields.clone()), scope)?)
}

fn header(template: &Template, columns: &[Column]) -> Result<String> {
    let titles: Map<String, Value> =
        columns.iter().map(|column| (column.field.to_owned(), Value::from(column.title))).collect();
    Ok(template.render(&Value::Object(titles), Scope { labels: None, header: true })?)
}

/// One value by a template, or as indented JSON: `inspect`, `info`, `version`.
pub fn value(value: &Value, template: Option<&str>) -> Result<String> {
    match template {
        None => indented(value),
        Some("json") => Ok(format!("{}\n", serde_json::to_string(value)?)),
        Some(text) => {
            let rendered = Template::parse(text)?.render(value, Scope::default())?;
            Ok(format!("{rendered}\n"))
        }
    }
}

/// JSON with Docker's indentation of four blanks.
pub fn indented(value: &Value) -> Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer)?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[column("ID", "CONTAINER ID"), column("Names", "NAMES"), column("Labels", "LABELS")];
    const DEFAULT: &str = "{{.ID}}\t{{.Names}}";

    fn rows() -> Vec<Row> {
        let labels = [("com.example.role".to_owned(), "db".to_owned())].into();
        vec![
            Row::new([("ID", "0123456789ab".into()), ("Names", "web".into())]).with_labels(&labels),
            Row::new([("ID", "ba9876543210".into()), ("Names", "other".into())]).with_labels(&BTreeMap::new()),
        ]
    }

    fn shown(format: Option<&str>) -> String {
        Format::parse(format, DEFAULT).and_then(|format| format.render(COLUMNS, &rows())).unwrap_or_else(|e| e.message)
    }

    #[test]
    fn a_label_forges_no_row() {
        let labels = [("role".to_owned(), "x\nfake\trow\x1b[2J".to_owned())].into();
        let row = Row::new([("ID", "1".into()), ("Names", "web".into())]).with_labels(&labels);
        let format = Format::parse(Some("table {{.ID}}\t{{.Labels}}\t{{.Label \"role\"}}"), DEFAULT);
        let text = format.and_then(|format| format.render(COLUMNS, &[row])).unwrap_or_else(|e| e.message);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains('\x1b') && text.contains("fake\\trow"), "{text}");
    }

    #[test]
    fn golden() {
        let table = "CONTAINER ID   NAMES\n0123456789ab   web\nba9876543210   other\n";
        assert_eq!(shown(None), table);
        assert_eq!(shown(Some("table")), table);
        assert_eq!(shown(Some("table {{.ID}}\\t{{.Names}}")), table);
        assert_eq!(shown(Some("{{.Names}}\\t{{.ID}}")), "web\t0123456789ab\nother\tba9876543210\n");
        assert_eq!(
            shown(Some("table {{.Names}}\t{{.Label \"com.example.role\"}}")),
            "NAMES     role\nweb       db\nother     \n"
        );
        assert_eq!(
            shown(Some("json")).lines().next(),
            Some("{\"ID\":\"0123456789ab\",\"Labels\":\"com.example.role=db\",\"Names\":\"web\"}")
        );
        assert!(shown(Some("{{.Nope}}")).contains("template parsing error"));
        assert_eq!(shown(Some("table {{upper .Names}}")), "NAMES\nWEB\nOTHER\n");
    }
}

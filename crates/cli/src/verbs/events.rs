//! `events`

use bulkhead_engine::view::Event;

use crate::console;
use crate::failure::{Failure, Result};
use crate::filters;
use crate::records::{Verb, Words};
use crate::session::Session;
use crate::template::{Scope, Template};

/// Flags of `events`.
#[derive(clap::Args, Debug)]
pub struct Events {
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(long)]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long)]
    until: Option<String>,
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Events {
    const SPELLINGS: &'static [&'static str] = &["events", "system events"];
    const USAGE: &'static str = "[OPTIONS]";
    const ABOUT: &'static str = "Get real time events";
    const WORDS: Words = Words::exactly(0);

    fn run(self, session: &Session) -> Result<u8> {
        let filters = filters::parse(&self.filter)?;
        let format = match self.format.as_deref() {
            None | Some("") => None,
            Some("json") => Some(Template::parse("{{json .}}")?),
            Some(text) => Some(Template::parse(text)?),
        };
        let mut failure: Option<Failure> = None;
        session.engine()?.events(self.since.as_deref(), self.until.as_deref(), &filters, &mut |event| {
            let told = text(&event, format.as_ref()).and_then(|text| console::line(&text));
            match told {
                Ok(()) => true,
                Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        })?;
        failure.map_or(Ok(0), Err)
    }
}

fn text(event: &Event, format: Option<&Template>) -> Result<String> {
    if let Some(template) = format {
        let scope = Scope { labels: None, header: false };
        return Ok(template.render(&serde_json::to_value(event)?, scope)?);
    }
    let attributes: Vec<String> = event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let details = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
    Ok(format!("{} {} {} {}{details}", time(event.time_nano), event.kind, event.action, event.actor.id))
}

/// Docker's `2006-01-02T15:04:05.000000000Z07:00`: always nine digits.
fn time(nanoseconds: i64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) => format!("{time:.9}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let mut event =
            Event { kind: "container".into(), action: "start".into(), time_nano: 1_500_000_000, ..Event::default() };
        event.actor.id = "abc".into();
        event.actor.attributes.insert("image".into(), "debian".into());
        event.actor.attributes.insert("name".into(), "web".into());
        assert_eq!(
            text(&event, None).unwrap(),
            "1970-01-01T00:00:01.500000000Z container start abc (image=debian, name=web)"
        );
        let template = Template::parse("{{.Type}} {{.Actor.Attributes.name}}").unwrap();
        assert_eq!(text(&event, Some(&template)).unwrap(), "container web");
    }
}

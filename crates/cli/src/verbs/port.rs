//! `port`

use super::first;
use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Verb, Words};
use crate::session::Session;

/// `port`
#[derive(clap::Args, Debug)]
pub struct Port {
    #[arg(hide = true)]
    words: Vec<String>,
}

impl Verb for Port {
    const SPELLINGS: &'static [&'static str] = &["port", "container port"];
    const USAGE: &'static str = "CONTAINER [PRIVATE_PORT[/PROTO]]";
    const ABOUT: &'static str = "List port mappings or a specific mapping for the container";
    const WORDS: Words = Words::between(1, 2);

    fn run(self, session: &Session) -> Result<u8> {
        let container = first(&self.words);
        let ports = session.engine()?.ports(container)?;
        let Some(wanted) = self.words.get(1) else {
            let lines: String = ports.iter().map(|(inside, outside)| format!("{inside} -> {outside}\n")).collect();
            console::out(&lines)?;
            return Ok(0);
        };
        let wanted = if wanted.contains('/') { wanted.clone() } else { format!("{wanted}/tcp") };
        let outside: String =
            ports.iter().filter(|(inside, _)| *inside == wanted).map(|(_, outside)| format!("{outside}\n")).collect();
        if outside.is_empty() {
            return Err(Failure::new(format!("No public port '{wanted}' published for {container}")));
        }
        console::out(&outside)?;
        Ok(0)
    }
}

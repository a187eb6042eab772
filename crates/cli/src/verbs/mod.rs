//! The verbs, one file each, and the table of all of them.

mod attach;
mod commit;
mod completion;
mod container_inspect;
mod container_prune;
mod cp;
mod create;
mod create_flags;
mod create_request;
mod diff;
mod events;
mod exec;
mod export;
mod image;
mod info;
mod inspect;
mod internal;
mod kill;
mod logs;
mod man;
mod pause;
mod plan;
mod port;
mod ps;
mod refused;
mod rename;
mod restart;
mod rm;
mod run;
mod start;
mod stats;
mod stop;
mod system;
mod top;
mod update;
mod version;
mod volume;
mod wait;
mod walls;

use crate::console;
use crate::failure::{Failure, Result};
use crate::records::{Entry, entry};

/// All verbs.
pub static VERBS: &[Entry] = &[
    entry::<run::Run>(),
    entry::<create::Create>(),
    entry::<start::Start>(),
    entry::<stop::Stop>(),
    entry::<restart::Restart>(),
    entry::<kill::Kill>(),
    entry::<rm::Rm>(),
    entry::<pause::Pause>(),
    entry::<pause::Unpause>(),
    entry::<wait::Wait>(),
    entry::<exec::Exec>(),
    entry::<attach::Attach>(),
    entry::<logs::Logs>(),
    entry::<ps::Ps>(),
    entry::<inspect::Inspect>(),
    entry::<container_inspect::ContainerInspect>(),
    entry::<container_prune::ContainerPrune>(),
    entry::<top::Top>(),
    entry::<stats::Stats>(),
    entry::<cp::Cp>(),
    entry::<diff::Diff>(),
    entry::<export::Export>(),
    entry::<commit::Commit>(),
    entry::<rename::Rename>(),
    entry::<update::Update>(),
    entry::<port::Port>(),
    entry::<events::Events>(),
    entry::<image::ls::Ls>(),
    entry::<image::pull::Pull>(),
    entry::<image::push::Push>(),
    entry::<image::load::Load>(),
    entry::<image::save::Save>(),
    entry::<image::import::Import>(),
    entry::<image::inspect::Inspect>(),
    entry::<image::history::History>(),
    entry::<image::rm::Rm>(),
    entry::<image::tag::Tag>(),
    entry::<image::lock::Lock>(),
    entry::<image::prune::Prune>(),
    entry::<image::base::BaseDebian>(),
    entry::<image::from_binary::FromBinary>(),
    entry::<volume::create::Create>(),
    entry::<volume::ls::Ls>(),
    entry::<volume::inspect::Inspect>(),
    entry::<volume::rm::Rm>(),
    entry::<volume::prune::Prune>(),
    entry::<system::df::Df>(),
    entry::<system::prune::Prune>(),
    entry::<system::release::Release>(),
    entry::<system::reset::Reset>(),
    entry::<info::Info>(),
    entry::<version::Version>(),
    entry::<plan::Plan>(),
    entry::<walls::Walls>(),
    entry::<completion::Completion>(),
    entry::<man::Man>(),
    entry::<internal::Restart>(),
    entry::<internal::Reap>(),
    entry::<internal::TarOut>(),
    entry::<internal::TarIn>(),
    entry::<internal::Stat>(),
];

/// Does something for each name and prints the name of each that went well. One failure does not stop the others.
fn each(names: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<u8> {
    each_printing(names, |name| act(name).map(|()| format!("{name}\n")))
}

/// As [`each`], printing what `act` answers.
fn each_printing(names: &[String], mut act: impl FnMut(&str) -> Result<String>) -> Result<u8> {
    let mut code = 0;
    for name in names {
        match act(name) {
            Ok(text) => console::out(&text)?,
            Err(failure) if failure.message.is_empty() => return Err(failure),
            Err(failure) => {
                console::complain(&failure.message);
                code = failure.code;
            }
        }
    }
    Ok(code)
}

/// A flag of Docker's that is understood and refused.
fn refuse(flag: &str, given: bool, reason: &str) -> Result<()> {
    if given { Err(Failure::new(format!("{flag} cannot be honoured: {reason}"))) } else { Ok(()) }
}

/// A sentence for the user that is no error.
fn warn(sentence: &str) {
    console::note(&format!("WARNING: {sentence}"));
}

/// The only word.
fn first(words: &[String]) -> &str {
    words.first().map(String::as_str).unwrap_or_default()
}

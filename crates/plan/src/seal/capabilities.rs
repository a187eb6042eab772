//! Which capabilities root inside has (walls.md measure 3).

use std::collections::BTreeSet;

use super::{PlanError, Wishes};
use crate::capability::Capability;
use crate::concession::Concession;
use crate::model::Level;

/// What dpkg, apt, PostgreSQL's and nginx's start scripts and other programs that begin as root and become someone else
/// need. Docker's NET_RAW, MKNOD, AUDIT_WRITE, SETFCAP, SETPCAP and SYS_CHROOT are not among it.
pub(crate) const STANDARD: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetBindService,
];

/// The level's own set.
fn of_level(level: Level) -> &'static [Capability] {
    match level {
        Level::Standard => STANDARD,
        Level::Hardened => &[],
    }
}

/// Docker's rules: `ALL` works in both lists, a single name overrides an `ALL` of the other list.
pub(super) fn choose(wishes: &Wishes, conceded: &mut Vec<Concession>) -> Result<Vec<Capability>, PlanError> {
    let mut added = Named::parse("--cap-add", &wishes.cap_add)?;
    let dropped = Named::parse("--cap-drop", &wishes.cap_drop)?;
    added.all |= wishes.privileged;
    if added.all && dropped.all && !wishes.privileged {
        return Err(PlanError::invalid(
            "--cap-add ALL and --cap-drop ALL contradict each other: leave out one of them",
        ));
    }
    if let Some(both) = added.single.intersection(&dropped.single).next() {
        return Err(PlanError::invalid(format!(
            "--cap-add {0} and --cap-drop {0} contradict each other: leave out one of them",
            both.name()
        )));
    }
    let own = of_level(wishes.level);
    let mut chosen: BTreeSet<Capability> = match (added.all, dropped.all) {
        (true, false) => Capability::ALL.iter().copied().collect(),
        (_, true) => BTreeSet::new(),
        (false, false) => own.iter().copied().collect(),
    };
    chosen.retain(|capability| !dropped.single.contains(capability));
    chosen.extend(&added.single);
    let beyond = chosen.iter().filter(|capability| !own.contains(capability));
    conceded.extend(beyond.map(|capability| Concession::Capability(*capability)));
    Ok(chosen.into_iter().collect())
}

/// One of the two lists.
struct Named {
    all: bool,
    single: BTreeSet<Capability>,
}

impl Named {
    fn parse(flag: &str, words: &[String]) -> Result<Self, PlanError> {
        let mut named = Self { all: false, single: BTreeSet::new() };
        for word in words {
            if word.eq_ignore_ascii_case("ALL") || word.eq_ignore_ascii_case("CAP_ALL") {
                named.all = true;
                continue;
            }
            let capability = Capability::from_name(word).ok_or_else(|| {
                PlanError::invalid(format!(
                    "{flag} {word}: there is no such capability; capabilities(7) lists them, for example NET_ADMIN"
                ))
            })?;
            named.single.insert(capability);
        }
        Ok(named)
    }
}

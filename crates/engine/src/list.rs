//! `ps`.

use bulkhead_types::ImageRef;

use crate::clock;
use crate::engine::Engine;
use crate::filters;
use crate::model::{Error, Filters, Result};
use crate::mounts::Source;
use crate::record::Record;
use crate::standing::{Standing, Status};
use crate::view::ContainerSummary;

const FILTERS: &[&str] = &[
    "id", "name", "label", "label!", "status", "ancestor", "before", "since", "exited", "health", "volume", "network",
    "publish", "expose", "is-task",
];

impl Engine {
    /// `all` includes those that do not run; `last` limits to the newest; `size` fills the sizes.
    ///
    /// # Errors
    /// If a filter is malformed or names no container.
    pub fn list(&self, all: bool, last: Option<usize>, size: bool, filters: &Filters) -> Result<Vec<ContainerSummary>> {
        filters::check(filters, FILTERS)?;
        check_values(filters)?;
        self.sweep_dead_monitors()?;
        let bound = |key: &str| -> Result<Option<String>> {
            let Some(name) = filters.get(key).and_then(|values| values.first()) else { return Ok(None) };
            self.find(name).map(|record| Some(record.created))
        };
        let (before, since) = (bound("before")?, bound("since")?);
        let ancestors = self.ancestors(filters)?;
        let shows_all = all || last.is_some() || filters.contains_key("status") || filters.contains_key("exited");
        let mut lines = Vec::new();
        for record in self.records()? {
            if last.is_some_and(|last| lines.len() >= last) {
                break;
            }
            if before.as_ref().is_some_and(|before| record.created >= *before)
                || since.as_ref().is_some_and(|since| record.created <= *since)
                || ancestors.as_ref().is_some_and(|ids| !ids.contains(&record.image_id))
                || !fits_record(&record, filters)
            {
                continue;
            }
            let standing = self.standing(&record)?;
            if (shows_all || matches!(standing.status, Status::Running | Status::Paused | Status::Restarting))
                && fits_standing(&record, &standing, filters)
            {
                lines.push(self.summary(&record, &standing, size));
            }
        }
        Ok(lines)
    }

    /// Image ids that `ancestor` allows: the named image and those built on its layers.
    fn ancestors(&self, filters: &Filters) -> Result<Option<Vec<bulkhead_types::Digest>>> {
        let Some(names) = filters.get("ancestor") else { return Ok(None) };
        let mut ids = Vec::new();
        let images = self.image_store.list()?;
        for name in names {
            let Some(image) = self.image_store.find(name)? else { continue };
            let layers: Vec<_> = image.layers.iter().map(|layer| &layer.diff_id).collect();
            ids.extend(
                images
                    .iter()
                    .filter(|other| {
                        other.id == image.id
                            || (!layers.is_empty()
                                && other.layers.len() >= layers.len()
                                && other.layers.iter().zip(&layers).all(|(have, wanted)| have.diff_id == **wanted))
                    })
                    .map(|other| other.id.clone()),
            );
        }
        Ok(Some(ids))
    }

    fn summary(&self, record: &Record, standing: &Standing, size: bool) -> ContainerSummary {
        let config = &record.config;
        let rw = size.then(|| self.rootfs.upper_size(record.id.as_str()).unwrap_or(0));
        let layers = || record.layers.iter().map(|layer| self.rootfs.layer_size(layer)).sum::<u64>();
        let level = match config.level {
            bulkhead_plan::Level::Standard => "standard",
            bulkhead_plan::Level::Hardened => "hardened",
        };
        ContainerSummary {
            id: record.id.to_string(),
            names: vec![record.name.clone()],
            image: shown_image(record),
            image_id: record.image_id.to_string(),
            command: config.args().join(" "),
            created: clock::seconds(&record.created),
            state: standing.status.word().into(),
            status: sentence(record, standing),
            labels: config.labels.clone(),
            mounts: config
                .mounts
                .iter()
                .filter_map(|spec| match &spec.source {
                    Source::Bind { path, .. } => Some(path.clone()),
                    Source::Volume(volume) => volume.name.clone(),
                    Source::Tmpfs { .. } => None,
                })
                .collect(),
            networks: vec![config.network.clone()],
            ports: String::new(),
            size_rw: rw,
            size_root_fs: rw.map(|rw| rw + layers()),
            isolation: match record.concessions.len() {
                0 => level.into(),
                count => format!("{level} -{count}"),
            },
        }
    }
}

/// The name the user gave; a bare digest is shortened as Docker does.
fn shown_image(record: &Record) -> String {
    let is_id = record.image_id.to_string() == record.image || record.image_id.hex().starts_with(&record.image);
    if is_id && record.image.parse::<ImageRef>().is_ok() || record.image.starts_with("sha256:") {
        return record.image_id.short().to_owned();
    }
    record.image.clone()
}

/// `Up 5 minutes (healthy)`, `Exited (0) 2 hours ago`.
pub(crate) fn sentence(record: &Record, standing: &Standing) -> String {
    let started = |started: Option<&str>| clock::words(clock::since(started.unwrap_or(clock::NEVER)));
    let state = standing.state.as_ref();
    match standing.status {
        Status::Created => "Created".into(),
        Status::Removing => "Removal In Progress".into(),
        Status::Restarting => {
            let code = standing.exit.as_ref().map_or(0, |exit| exit.status.code());
            let when = standing.exit.as_ref().map(|exit| exit.finished_at.as_str());
            format!("Restarting ({code}) {} ago", started(when))
        }
        Status::Exited => {
            let when = standing.exit.as_ref().map(|exit| exit.finished_at.as_str());
            format!("Exited ({}) {} ago", standing.exit_code(record), started(when))
        }
        Status::Running | Status::Paused => {
            let up = format!("Up {}", started(state.map(|state| state.started_at.as_str())));
            if standing.status == Status::Paused {
                return format!("{up} (Paused)");
            }
            match state.and_then(|state| state.health.as_deref()) {
                None => up,
                Some("starting") => format!("{up} (health: starting)"),
                Some(health) => format!("{up} ({health})"),
            }
        }
    }
}

fn check_values(filters: &Filters) -> Result<()> {
    let one_of = |key: &str, known: &[&str]| match filters
        .get(key)
        .into_iter()
        .flatten()
        .find(|value| !known.contains(&value.as_str()))
    {
        Some(value) => Err(Error::invalid(format!("invalid filter '{key}={value}'; known: {}", known.join(", ")))),
        None => Ok(()),
    };
    one_of("status", &["created", "restarting", "running", "removing", "paused", "exited", "dead"])?;
    one_of("health", &["starting", "healthy", "unhealthy", "none"])?;
    match filters.get("exited").into_iter().flatten().find(|value| value.parse::<i32>().is_err()) {
        Some(value) => Err(Error::invalid(format!("invalid filter 'exited={value}': write a number"))),
        None => Ok(()),
    }
}

fn fits_record(record: &Record, filters: &Filters) -> bool {
    let any = |key: &str, test: &dyn Fn(&str) -> bool| {
        filters.get(key).is_none_or(|values| values.iter().any(|value| test(value)))
    };
    any("id", &|value| record.id.as_str().starts_with(value))
        && any("name", &|value| matches_name(&record.name, value))
        && any("volume", &|value| {
            record.config.mounts.iter().any(|spec| {
                spec.target == value
                    || spec.volume() == Some(value)
                    || matches!(&spec.source, Source::Bind { path, .. } if path == value)
            })
        })
        && any("network", &|value| record.config.network == value)
        && any("publish", &|_| false)
        && any("expose", &|value| {
            record.config.exposed_ports.iter().any(|port| port == value || port.split('/').next() == Some(value))
        })
        && filters::fits_labels(filters, &record.config.labels)
}

/// Docker takes a regular expression; anchors and plain text are what people use.
fn matches_name(name: &str, pattern: &str) -> bool {
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    let pattern = pattern.strip_prefix("^/").map_or_else(|| pattern.to_owned(), |rest| format!("^{rest}"));
    match (pattern.strip_prefix('^'), pattern.strip_suffix('$')) {
        (Some(rest), Some(_)) => Some(name) == rest.strip_suffix('$'),
        (Some(rest), None) => name.starts_with(rest),
        (None, Some(rest)) => name.ends_with(rest),
        (None, None) => name.contains(&pattern),
    }
}

fn fits_standing(record: &Record, standing: &Standing, filters: &Filters) -> bool {
    let any = |key: &str, test: &dyn Fn(&str) -> bool| {
        filters.get(key).is_none_or(|values| values.iter().any(|value| test(value)))
    };
    let health = standing.state.as_ref().and_then(|state| state.health.as_deref()).unwrap_or("none");
    any("status", &|value| standing.status.word() == value)
        && any("health", &|value| health == value)
        && any("exited", &|value| {
            standing.status == Status::Exited && value.parse() == Ok(i32::from(standing.exit_code(record)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::sample;
    use bulkhead_plan::control::Exited;
    use bulkhead_types::ExitStatus;

    #[test]
    fn name_patterns() {
        for (pattern, fits) in
            [("we", true), ("^/web$", true), ("^eb", false), ("eb$", true), ("/web", true), ("x", false)]
        {
            assert_eq!(matches_name("web", pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn sentences_and_filters() {
        let record = sample();
        let mut standing = Standing { status: Status::Created, state: None, exit: None };
        assert_eq!(sentence(&record, &standing), "Created");
        standing.status = Status::Exited;
        standing.exit = Some(Exited {
            status: ExitStatus::Code(3),
            oom_killed: false,
            limit: String::new(),
            finished_at: clock::now(),
            error: String::new(),
        });
        assert_eq!(sentence(&record, &standing), "Exited (3) Less than a second ago");
        let filter = |key: &str, value: &str| Filters::from([(key.to_owned(), vec![value.to_owned()])]);
        assert!(fits_standing(&record, &standing, &filter("exited", "3")));
        assert!(!fits_standing(&record, &standing, &filter("status", "running")));
        assert!(fits_record(&record, &filter("name", "web")));
        assert!(!fits_record(&record, &filter("volume", "x")));
        assert!(check_values(&filter("status", "asleep")).is_err());
    }
}

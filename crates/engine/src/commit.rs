//! `commit`, `diff`: what a container changed.

use bulkhead_image::config::{ImageConfig, Runtime};
use bulkhead_plan::control::Request;
use bulkhead_rootfs::Change;
use bulkhead_types::Digest;
use serde_json::json;

use crate::changes;
use crate::engine::Engine;
use crate::image_parts::{new_config, parse_reference};
use crate::model::{Error, Result};
use crate::record::{ContainerConfig, Record};
use crate::request::CommitRequest;
use crate::standing::Status;

impl Engine {
    /// Changes against the image.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn diff(&self, container: &str) -> Result<Vec<Change>> {
        let record = self.find(container)?;
        Ok(self.rootfs.changes(record.id.as_str(), &record.layers)?)
    }

    /// A new image of the container's changes.
    ///
    /// # Errors
    /// If a change or the reference is malformed, or the store cannot take it.
    pub fn commit(&self, container: &str, request: &CommitRequest) -> Result<Digest> {
        let record = self.find(container)?;
        let reference = request.reference.as_deref().map(parse_reference).transpose()?;
        let mut config = new_config();
        config.config = runtime_of(&record.config);
        changes::apply(&mut config.config, &request.changes)?;
        config.author.clone_from(&request.author);
        config.comment.clone_from(&request.message);
        let base = self.image_store.find(&record.image_id.to_string())?.ok_or_else(|| {
            Error::not_found(format!("the image {} of this container is gone; pull it again", record.image))
        })?;
        let freeze = request.pause && self.standing(&record)?.status == Status::Running;
        if freeze {
            self.ask_running(&record, &Request::Pause)?;
        }
        let image = self.add_changes(&record, &base, config, reference.as_ref());
        if freeze {
            self.ask(record.id.as_str(), &Request::Unpause)?;
        }
        let image = image?;
        self.tell(&record, "commit", &[("imageID", image.to_string())]);
        Ok(image)
    }

    fn add_changes(
        &self,
        record: &Record,
        base: &bulkhead_image::Image,
        config: ImageConfig,
        reference: Option<&bulkhead_types::ImageRef>,
    ) -> Result<Digest> {
        let (mut reader, mut writer) = std::io::pipe().map_err(|error| Error::internal(format!("pipe: {error}")))?;
        std::thread::scope(|scope| {
            let written =
                scope.spawn(move || self.rootfs.write_changes(record.id.as_str(), &record.layers, &mut writer));
            let image = self.image_store.add_layer(Some(base), &mut reader, config, reference, &self.layer_sink());
            drop(reader);
            let written = written.join().map_err(|_| Error::internal("the changes could not be written"))?;
            // A broken pipe on the writer's side is only the echo of the reader's error.
            let image = image?;
            written?;
            Ok(image.id)
        })
    }
}

/// What the next container of the image inherits.
fn runtime_of(config: &ContainerConfig) -> Runtime {
    let set = |list: &[String]| list.iter().map(|key| (key.clone(), json!({}))).collect();
    Runtime {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.command.clone(),
        volumes: set(&config.image_volumes),
        working_dir: if config.workdir == "/" { String::new() } else { config.workdir.clone() },
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone().unwrap_or_default(),
        stop_timeout: config.stop_timeout,
        healthcheck: config.health.clone(),
        shell: config.shell.clone(),
        on_build: Vec::new(),
    }
}

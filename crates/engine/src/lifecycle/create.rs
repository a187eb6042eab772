//! `create`: check everything, then claim, then write. The record's rename into place is the moment of birth.

use bulkhead_image::{Image, Progress, PullOptions};
use bulkhead_plan::IsolationPlan;
use bulkhead_types::{ContainerId, ContainerName, ImageRef, Platform};

use crate::engine::Engine;
use crate::layout;
use crate::model::{Created, Error, Result};
use crate::mounts::Source;
use crate::names;
use crate::pending::Mark;
use crate::record::{ContainerConfig, NewRecord, Record};
use crate::request::{CreateRequest, PullPolicy};

use super::wishes;

impl Engine {
    /// Records a container. Pulls the image by the policy.
    ///
    /// # Errors
    /// If the request contradicts itself, the image cannot be had, or the name is taken; nothing is left behind.
    pub fn create(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Created> {
        if let Some(name) = &request.name {
            check_name(name)?;
        }
        let id = ContainerId::from_random(bulkhead_sys::random::bytes32()?);
        let image = self.image_for(request, progress)?;
        let config = self.draft(request, &image, &id)?;
        let plan = wishes::seal_dry(&config)?;
        let mut mark = Mark::hold(&self.layout.pending(), id.as_str())?;
        let name = match &request.name {
            Some(name) => {
                mark.note(&format!("create {name}"))?;
                names::claim(&self.layout, name, &id).map(|()| name.clone())?
            }
            None => {
                let name = names::claim_random(&self.layout, &id)?;
                mark.note(&format!("create {name}"))?;
                name
            }
        };
        let record = NewRecord {
            id: id.clone(),
            name: name.clone(),
            image: request.image.clone(),
            image_id: image.id.clone(),
            layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            platform: platform_of(&image).to_string(),
            config,
            concessions: plan.concessions.clone(),
        };
        match self.write_down(Record::new(record)) {
            Ok(record) => {
                self.tell(&record, "create", &[]);
                Ok(Created { id, concessions: plan.concessions, warnings: Vec::new() })
            }
            Err(error) => {
                // The first error is what the user must read; what could not be undone is found by the next repair.
                if self.discard(id.as_str(), &name).is_err() {
                    mark.abandon();
                }
                Err(error)
            }
        }
    }

    /// The plan that `create` would make, without making anything (`bulkhead plan`).
    ///
    /// # Errors
    /// As `create`.
    pub fn plan(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<IsolationPlan> {
        let id = ContainerId::from_random([0; 32]);
        let image = self.image_for(request, progress)?;
        wishes::seal_dry(&self.draft(request, &image, &id)?)
    }

    /// Directories, volumes, record.
    fn write_down(&self, mut record: Record) -> Result<Record> {
        let id = record.id.as_str();
        let dir = self.layout.container(id);
        std::fs::DirBuilder::new().create(&dir).map_err(Error::at(&dir))?;
        if record.config.remove {
            // Nothing of it is to survive, so nothing of it is ever synced to the disk.
            self.rootfs.create_ephemeral_upper(id)?;
        } else {
            self.rootfs.create_upper(id)?;
        }
        let made = self.make_volumes(&mut record.config);
        match made.and_then(|()| record.save(&self.layout)) {
            Ok(()) => Ok(record),
            Err(error) => {
                for spec in &record.config.mounts {
                    if let Source::Volume(volume) = &spec.source
                        && let (true, Some(name)) = (volume.anonymous, &volume.name)
                    {
                        self.rootfs.remove_volume(name)?;
                    }
                }
                Err(error)
            }
        }
    }

    /// Named volumes come into being, anonymous ones get their names.
    fn make_volumes(&self, config: &mut ContainerConfig) -> Result<()> {
        for spec in &mut config.mounts {
            if let Source::Volume(volume) = &mut spec.source {
                let is_new = volume
                    .name
                    .as_deref()
                    .map_or(Ok(true), |name| self.rootfs.volume(name).map(|found| found.is_none()))?;
                let made =
                    self.rootfs.create_volume(volume.name.as_deref(), volume.labels.clone(), volume.options.clone())?;
                if is_new {
                    self.tell_of("volume", "create", &made.name, &[("driver", "local".into())]);
                }
                volume.name = Some(made.name);
            }
        }
        Ok(())
    }

    /// Takes away what a failed creation made.
    pub(crate) fn discard(&self, id: &str, name: &str) -> Result<()> {
        self.rootfs.remove_upper(id)?;
        self.rootfs.release_range(id)?;
        layout::remove_dir(&self.layout.running(id))?;
        layout::remove_dir(&self.layout.container(id))?;
        let id: ContainerId = id.parse().map_err(|_| Error::internal(format!("{id} is no container id")))?;
        names::release(&self.layout, name, &id)
    }

    /// The image of a request, fetched if the policy says so.
    fn image_for(&self, request: &CreateRequest, progress: &dyn Progress) -> Result<Image> {
        let wanted = request.platform.clone().unwrap_or_else(Platform::host);
        if !wanted.fits(&Platform::host()) && wanted != Platform::host() {
            return Err(Error::unsupported(format!(
                "--platform {wanted}: this host runs {} only; emulation would open the kernel to foreign binaries",
                Platform::host()
            )));
        }
        let here = match request.pull {
            PullPolicy::Always => None,
            _ => self.find_image(&request.image)?,
        };
        match here {
            Some(image) if platform_of(&image).fits(&wanted) => Ok(image),
            found if request.pull == PullPolicy::Never => Err(Error::not_found(match found {
                Some(image) => format!(
                    "image {} is for {}, not {wanted}, and --pull never forbids another",
                    request.image,
                    platform_of(&image)
                ),
                None => format!("No such image: {}", request.image),
            })
            .exiting(125)),
            _ => {
                let reference: ImageRef = request
                    .image
                    .parse()
                    .map_err(|error: bulkhead_types::ReferenceError| Error::invalid(error.to_string()).exiting(125))?;
                if request.pull != PullPolicy::Always {
                    progress.update("", &format!("Unable to find image '{}' locally", reference.familiar()), 0, 0);
                }
                let options = PullOptions { platform: wanted, credentials: None };
                let image = self.image_store.pull(&reference, &options, &self.layer_sink(), progress)?;
                self.tell_of("image", "pull", &reference.familiar(), &[("name", reference.familiar_name())]);
                Ok(image)
            }
        }
    }
}

fn check_name(name: &str) -> Result<()> {
    let valid: std::result::Result<ContainerName, _> = name.parse();
    valid.map(|_| ()).map_err(|_| {
        Error::invalid(format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
    })
}

/// What an image was built for.
pub(crate) fn platform_of(image: &Image) -> Platform {
    let own = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let host = Platform::host();
    Platform {
        os: own(&image.config.os, &host.os),
        architecture: own(&image.config.architecture, &host.architecture),
        variant: image.config.variant.clone(),
    }
}

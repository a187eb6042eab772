//! From all that asked for mounts to one list, parents before children.
//!
//! The image's volumes give way to `--volumes-from`, and both to what the user wrote for the same path. The user
//! himself may name a path once.

use crate::model::{Error, Result};

use super::{MountSpec, Source, clean_target, parse_long, parse_short, parse_tmpfs};
use crate::request::CreateRequest;

/// The mounts of a new container. `shared` are those of `--volumes-from`, `image` the image's `VOLUME`s.
///
/// # Errors
/// In Docker's words, `Duplicate mount point: /x` among them.
pub(crate) fn merge(request: &CreateRequest, shared: Vec<MountSpec>, image: &[String]) -> Result<Vec<MountSpec>> {
    let mut own: Vec<MountSpec> = Vec::new();
    let asked = request
        .volumes
        .iter()
        .map(|raw| parse_short(raw))
        .chain(request.mounts.iter().map(|raw| parse_long(raw)))
        .chain(request.tmpfs.iter().map(|raw| parse_tmpfs(raw)));
    for spec in asked {
        let spec = spec?;
        if own.iter().any(|other| other.target == spec.target) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", spec.target)));
        }
        own.push(spec);
    }
    for spec in shared {
        push_unless_covered(&mut own, spec);
    }
    for target in image {
        push_unless_covered(&mut own, MountSpec::anonymous(clean_target("volume", target)?));
    }
    own.sort_by_key(|spec| spec.target.matches('/').count());
    Ok(own)
}

fn push_unless_covered(list: &mut Vec<MountSpec>, spec: MountSpec) {
    if !list.iter().any(|other| other.target == spec.target) {
        list.push(spec);
    }
}

/// What a container shares by `--volumes-from NAME[:ro|rw]`: its volumes and binds.
pub(crate) fn share(mounts: &[MountSpec], read_only: bool) -> Vec<MountSpec> {
    mounts
        .iter()
        .filter(|spec| !matches!(spec.source, Source::Tmpfs { .. }))
        .cloned()
        .map(|mut spec| {
            spec.read_only |= read_only;
            if let Source::Volume(volume) = &mut spec.source {
                volume.no_copy = true;
                // It belongs to the container that it came with.
                volume.anonymous = false;
            }
            spec
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(volumes: &[&str], tmpfs: &[&str]) -> CreateRequest {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        CreateRequest { volumes: own(volumes), tmpfs: own(tmpfs), ..CreateRequest::default() }
    }

    #[test]
    fn parents_come_first_and_the_user_wins() {
        let shared = vec![parse_short("other:/a").unwrap(), parse_short("more:/m").unwrap()];
        let merged = merge(&request(&["v1:/a/b/c", "v2:/a"], &[]), shared, &["/a/".into(), "/i".into()]).unwrap();
        let targets: Vec<_> = merged.iter().map(|spec| spec.target.as_str()).collect();
        assert_eq!(targets, ["/a", "/m", "/i", "/a/b/c"]);
        assert_eq!(merged[0].volume(), Some("v2"));
    }

    #[test]
    fn a_path_is_named_once() {
        let error = merge(&request(&["v1:/a"], &["/a/"]), Vec::new(), &[]).unwrap_err();
        assert_eq!(error.message, "Duplicate mount point: /a");
    }

    #[test]
    fn sharing_can_take_writing_away() {
        let mounts = [parse_short("vol:/a").unwrap(), parse_short("/h:/b:ro").unwrap(), parse_tmpfs("/t").unwrap()];
        let shared = share(&mounts, true);
        assert_eq!(shared.len(), 2);
        assert!(shared.iter().all(|spec| spec.read_only));
        assert!(!share(&mounts, false)[0].read_only);
    }
}

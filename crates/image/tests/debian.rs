//! The Debian base image: the same snapshot twice gives the same digest; what is unsigned or altered is refused.
#![allow(missing_docs, clippy::print_stderr, clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_archive::hash::Hasher;
use bulkhead_image::{DebianBase, Error, Image, Silent};
use support::programs::{Running, await_port, free_port, present, run};
use support::{Bench, reference};

fn make(bench: &Bench, base: &DebianBase) -> Result<Image, Error> {
    bench.store.debian_base(base, &reference("debian:test"), &bench.sink, &Silent)
}

#[test]
fn the_same_snapshot_gives_the_same_digest() {
    if !present(&["mmdebstrap", "gpgv"]) {
        return;
    }
    let suite = "bookworm".to_owned();
    let base = DebianBase { suite, variant: Some("essential".into()), ..DebianBase::default() };
    let first = Bench::new();
    let image = match make(&first, &base) {
        Ok(image) => image,
        Err(error) if error.message.contains("cannot be reached") || error.message.contains("resolv.conf") => {
            support::skip("net", &error.message);
            return;
        }
        Err(error) => panic!("{error}"),
    };
    // Neither the machine's name nor the directory of the work may show.
    let second = Bench::new();
    let again = make(&second, &base).unwrap();
    assert_eq!(again.manifest, image.manifest);
    assert_eq!(again.id, image.id);
    assert!(image.config.created.is_some() && image.config.config.cmd == ["bash"]);
    eprintln!("{} made {} ({} bytes)", base.suite, image.manifest, image.layers[0].size);
}

/// A signed archive with one package.
struct Archive {
    dir: tempfile::TempDir,
    port: u16,
    _server: Running,
}

impl Archive {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("gnupg");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let port = free_port();
        let web = dir.path().join("web");
        for place in ["dists/tiny/main/binary-amd64", "pool"] {
            std::fs::create_dir_all(web.join(place)).unwrap();
        }
        let server = Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory", web.to_str().unwrap(), &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let archive = Self { dir, port, _server: Running(server) };
        archive.gpg(&["--quick-gen-key", "tiny@example.test", "ed25519", "sign", "never"]);
        archive.gpg(&["--export", "--output", archive.keyring().to_str().unwrap()]);
        archive.package();
        archive.release();
        await_port(port);
        archive
    }

    fn gpg(&self, arguments: &[&str]) {
        let home = self.dir.path().join("gnupg");
        let mut all = vec!["--homedir", home.to_str().unwrap(), "--batch", "--quiet", "--passphrase", ""];
        all.extend(["--pinentry-mode", "loopback", "--yes"]);
        all.extend(arguments);
        run("gpg", &all);
    }

    fn keyring(&self) -> PathBuf {
        self.dir.path().join("tiny.gpg")
    }

    fn web(&self, path: &str) -> PathBuf {
        self.dir.path().join("web").join(path)
    }

    fn package(&self) {
        let tree = self.dir.path().join("tree");
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = "Package: tiny\nVersion: 1\nArchitecture: amd64\nEssential: yes\nMaintainer: T <t@example.test>\nDescription: tiny\n";
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        std::fs::write(tree.join("file"), "content").unwrap();
        let place = self.web("pool/tiny.deb");
        run("dpkg-deb", &["--root-owner-group", "-b", tree.to_str().unwrap(), place.to_str().unwrap()]);
        let bytes = std::fs::read(&place).unwrap();
        let text = format!(
            "{control}Filename: pool/tiny.deb\nSize: {}\nSHA256: {}\n\n",
            bytes.len(),
            Hasher::sha256(&bytes).hex()
        );
        std::fs::write(self.web("dists/tiny/main/binary-amd64/Packages"), text).unwrap();
    }

    fn release(&self) {
        let packages = std::fs::read(self.web("dists/tiny/main/binary-amd64/Packages")).unwrap();
        let text = format!(
            "Origin: T\nSuite: tiny\nCodename: tiny\nDate: Fri, 02 Jan 2026 03:04:05 UTC\nArchitectures: amd64\n\
             Components: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            Hasher::sha256(&packages).hex(),
            packages.len()
        );
        let plain = self.dir.path().join("Release");
        std::fs::write(&plain, text).unwrap();
        let signed = self.web("dists/tiny/InRelease");
        self.gpg(&["--output", signed.to_str().unwrap(), "--clearsign", plain.to_str().unwrap()]);
    }

    fn base(&self, keyring: &Path) -> DebianBase {
        DebianBase {
            suite: "tiny".into(),
            mirror: Some(format!("http://127.0.0.1:{}", self.port)),
            keyring: Some(keyring.to_owned()),
            variant: Some("essential".into()),
            ..DebianBase::default()
        }
    }
}

fn alter(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn refusal(archive: &Archive) -> String {
    let bench = Bench::new();
    let error = make(&bench, &archive.base(&archive.keyring())).unwrap_err();
    assert!(bench.store.list().unwrap().is_empty(), "{error}");
    eprintln!("{error}");
    error.message
}

#[test]
fn unsigned_or_altered_archives_are_refused() {
    if !present(&["mmdebstrap", "gpgv", "gpg", "python3", "dpkg-deb"]) {
        return;
    }
    let archive = Archive::new();
    let debian = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let in_release = archive.web("dists/tiny/InRelease");

    // Signed, but by somebody else than the keyring's keys.
    let error = make(&Bench::new(), &archive.base(debian)).unwrap_err();
    assert!(error.message.contains("not signed by a key") && error.message.contains("--keyring"), "{error}");

    // Untouched, it passes the signatures: mmdebstrap fails later, since a system needs more than one package.
    let passed = refusal(&archive);
    assert!(passed.contains("mmdebstrap failed") && !passed.contains("Hash Sum"), "{passed}");

    alter(&in_release, "Codename: tiny", "Codename: evil");
    assert!(refusal(&archive).contains("BAD signature"));
    archive.release();

    // A release without its signature.
    let signed = std::fs::read(&in_release).unwrap();
    std::fs::copy(archive.dir.path().join("Release"), &in_release).unwrap();
    assert!(refusal(&archive).contains("not signed"));
    std::fs::write(&in_release, signed).unwrap();

    // An index, and then a package, that the signed release does not vouch for.
    let packages = archive.web("dists/tiny/main/binary-amd64/Packages");
    alter(&packages, "Description: tiny", "Description: evil");
    let said = refusal(&archive);
    assert!(said.contains("mmdebstrap failed") && said.contains("mismatch"), "{said}");
    alter(&packages, "Description: evil", "Description: tiny");

    let deb = archive.web("pool/tiny.deb");
    let mut bytes = std::fs::read(&deb).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&deb, bytes).unwrap();
    let said = refusal(&archive);
    assert!(said.contains("mismatch"), "{said}");

    let weak = DebianBase { mirror: Some("http://127.0.0.1/ [trusted=yes]".into()), ..archive.base(debian) };
    assert!(make(&Bench::new(), &weak).unwrap_err().message.contains("is not an"));
}

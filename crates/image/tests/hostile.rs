//! Registries that cut, lie, stall, redirect and demand, and a client that is killed.
#![allow(missing_docs, clippy::print_stderr, clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bulkhead_types::ErrorClass;
use support::fake::{Answer, Content, Server};
use support::{Bench, Checking, again};

const MIB: usize = 1 << 20;

/// An image and its content; the maker's store is gone.
fn content(layers: &[(u64, usize)]) -> (bulkhead_image::Image, Content) {
    let maker = Bench::new();
    let image = maker.make("app:v", layers);
    let content = Content::of(maker.dir.path(), &image);
    (image, content)
}

fn name(server: &Server) -> String {
    format!("{}/app:v", server.address)
}

/// Nothing of a failed pull is visible.
fn assert_invisible(bench: &Bench, name: &str) {
    assert!(bench.store.find(name).unwrap().is_none());
    assert!(bench.store.list().unwrap().is_empty());
    assert!(bench.sink.ready.lock().unwrap().is_empty());
}

#[test]
fn resumes_after_each_cut_where_it_was() {
    let (image, content) = content(&[(1, 3 * MIB)]);
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let server = Server::start(move |request| {
        let mut answer = content.answer(request);
        if answer.body.len() > 100_000 {
            answer.cut = Some(900_000);
            count.fetch_add(answer.body.len().min(900_000), Ordering::Relaxed);
        }
        answer
    });
    let bench = Bench::new();
    let pulled = bench.pull(&name(&server)).unwrap();
    assert_eq!(pulled.id, image.id);
    let requests = server.requests(&image.layers[0].digest.to_string());
    assert_eq!(requests.len(), 4, "{requests:?}");
    assert!(requests[1].header("range").unwrap().starts_with("bytes="));
    let size = usize::try_from(image.layers[0].size).unwrap();
    // What was cut away in flight is fetched again, nothing else.
    assert!(served.load(Ordering::Relaxed) < size + 4 * 300_000);
    assert!(bench.files("partial").is_empty());
}

#[test]
fn a_server_without_ranges_is_read_from_its_beginning() {
    let (image, content) = content(&[(2, 2 * MIB)]);
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut request = request.clone();
        request.headers.remove("range");
        let mut answer = content.answer(&request);
        if answer.body.len() > 100_000 && calls.fetch_add(1, Ordering::Relaxed) == 0 {
            answer.cut = Some(MIB);
        }
        answer
    });
    assert_eq!(Bench::new().pull(&name(&server)).unwrap().id, image.id);
}

#[test]
fn overload_is_waited_out() {
    let (image, content) = content(&[(3, 1000)]);
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |request| match calls.fetch_add(1, Ordering::Relaxed) {
        1 | 4 => Answer::new(503, ""),
        2 => Answer::new(429, "").with("Retry-After", "1"),
        _ => content.answer(request),
    });
    assert_eq!(Bench::new().pull(&name(&server)).unwrap().id, image.id);
}

#[test]
fn altered_bytes_are_refused() {
    let (image, content) = content(&[(4, MIB), (5, MIB)]);
    let bad = image.layers[1].digest.to_string();
    let mut altered = content.clone();
    *altered.blobs.get_mut(&bad).unwrap().last_mut().unwrap() ^= 1;
    let server = Server::start(move |request| altered.answer(request));
    let bench = Bench::new();
    let error = bench.pull(&name(&server)).unwrap_err();
    // Whoever sees it first says so: the reader of the blob by its digest, or the layer's own reader by gzip's sum.
    let said = ["hashes to", "matching checksum"].iter().any(|text| error.message.contains(text));
    assert!(error.message.contains(&bad) && said, "{error}");
    assert_invisible(&bench, &name(&server));
    assert!(!bench.files("blobs/sha256").contains(&image.layers[1].digest.hex().to_owned()));
    // The configuration and the manifest itself, too.
    let mut altered = content.clone();
    altered.blobs.get_mut(&image.id.to_string()).unwrap()[10] ^= 1;
    let server = Server::start(move |request| altered.answer(request));
    assert!(Bench::new().pull(&name(&server)).unwrap_err().message.contains("configuration"));
    let mut altered = content;
    let manifest = altered.manifests.get_mut(&image.manifest.to_string()).unwrap();
    manifest.1.push(b' ');
    let server = Server::start(move |request| altered.answer(request));
    let pinned = format!("{}/app@{}", server.address, image.manifest);
    assert!(Bench::new().pull(&pinned).unwrap_err().message.contains("hashes to"));
}

#[test]
fn lies_about_sizes_and_endless_streams_end_early() {
    let (image, content) = content(&[(6, MIB)]);
    let layer = image.layers[0].digest.to_string();
    for more in [-1, 1] {
        let mut lying = content.clone();
        let mut manifest = lying.manifest();
        manifest["layers"][0]["size"] = (image.layers[0].size.cast_signed() + more).into();
        lying.retag(&manifest);
        let server = Server::start(move |request| lying.answer(request));
        let bench = Bench::new();
        let error = bench.pull(&name(&server)).unwrap_err();
        assert!(error.message.contains("manifest says"), "{error}");
        assert_invisible(&bench, &name(&server));
    }
    let target = layer.clone();
    let server = Server::start(move |request| {
        let mut answer = content.answer(request);
        answer.endless = request.path.contains(&target);
        answer
    });
    let bench = Bench::new();
    let error = bench.pull(&name(&server)).unwrap_err();
    assert!(error.message.contains("more bytes"), "{error}");
    assert_invisible(&bench, &name(&server));
    let kept: u64 = bench
        .files("partial")
        .iter()
        .map(|file| bench.dir.path().join("images/partial").join(file).metadata().unwrap().len())
        .sum();
    assert!(kept <= image.layers[0].size);
    let server = Server::start(|request| match request.path.as_str() {
        "/v2/" => Answer::new(200, ""),
        _ => Answer { endless: true, ..Answer::new(200, vec![b' '; 65536]) },
    });
    assert!(Bench::new().pull(&name(&server)).unwrap_err().message.contains("larger than"));
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says_is_refused() {
    let (first, mut content) = content(&[(7, 5000)]);
    let (second, other) = self::content(&[(8, 5000)]);
    // The second image's configuration with the first one's layer: the attempt to be given a layer that is here
    // already by naming it only.
    content.blobs.extend(other.blobs.clone());
    let mut manifest = content.manifest();
    let mut wanted = other.manifest();
    wanted["layers"] = manifest["layers"].take();
    content.retag(&wanted);
    let server = Server::start(move |request| content.answer(request));
    let bench = Bench::new();
    let error = bench.pull(&name(&server)).unwrap_err();
    assert!(error.message.contains("content"), "{error}");
    assert_invisible(&bench, &name(&server));
    // The same when the named layer is here.
    bench.sink.ready.lock().unwrap().insert(second.layers[0].diff_id.clone());
    let error = bench.pull(&name(&server)).unwrap_err();
    assert!(error.message.contains(&first.layers[0].diff_id.to_string()), "{error}");
    assert!(bench.store.list().unwrap().is_empty());
}

#[test]
fn redirects_lose_the_credentials_and_never_leave_encryption() {
    let (image, content) = content(&[(9, MIB)]);
    let storage = content.clone();
    let cdn = Server::start(move |request| storage.answer(request));
    let to = format!("http://{}", cdn.address);
    let server = Server::start(move |request| {
        if request.header("authorization") != Some("Basic dTpw") {
            return Answer::new(401, "").with("WWW-Authenticate", "Basic realm=\"x\"");
        }
        match request.path.contains("/blobs/") {
            true => Answer::new(307, "").with("Location", &format!("{to}{}", request.path)),
            false => content.answer(request),
        }
    });
    let pulled = Bench::new().pull_as(&name(&server), Some(("u", "p"))).unwrap();
    assert_eq!(pulled.id, image.id);
    let seen = cdn.requests("/blobs/");
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| request.header("authorization").is_none()));

    let error = Bench::new().pull_as(&name(&server), Some(("u", "wrong"))).unwrap_err();
    assert_eq!(error.class, ErrorClass::Denied);
    assert!(error.message.contains("config.json"), "{error}");

    let server = Server::start(|request| match request.path.as_str() {
        "/v2/" => Answer::new(200, ""),
        _ => Answer::new(302, "").with("Location", "http://192.0.2.1/x"),
    });
    let error = Bench::new().pull(&name(&server)).unwrap_err();
    assert!(error.message.contains("not encrypted"), "{error}");
    let server = Server::start(|request| match request.path.as_str() {
        "/v2/" => Answer::new(200, ""),
        path => Answer::new(302, "").with("Location", path),
    });
    assert!(Bench::new().pull(&name(&server)).unwrap_err().message.contains("lead nowhere"));
}

/// A registry that wants a bearer token from a token server that wants `accept`.
fn guarded(
    content: Content,
    accept: impl Fn(&support::fake::Request) -> bool + Send + Sync + 'static,
) -> (Server, Server) {
    let tokens = Server::start(move |request| match accept(request) {
        true => Answer::new(200, r#"{"token":"tick\u0065t","expires_in":60}"#),
        false => Answer::new(401, r#"{"details":"incorrect username or password"}"#),
    });
    let realm =
        format!("Bearer realm=\"http://{}/token\",service=\"svc\",scope=\"repository:app:pull\"", tokens.address);
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Bearer ticket") => content.answer(request),
        _ => Answer::new(401, "").with("WWW-Authenticate", &realm),
    });
    (server, tokens)
}

#[test]
fn tokens_are_fetched_once_for_the_right_scope() {
    let (image, content) = content(&[(10, 100_000), (11, 100_000)]);
    let (server, tokens) = guarded(content.clone(), |_| true);
    assert_eq!(Bench::new().pull(&name(&server)).unwrap().id, image.id);
    let seen = tokens.requests("/token");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/token?service=svc&scope=repository%3Aapp%3Apull");
    assert!(seen[0].header("authorization").is_none());

    let (server, _tokens) = guarded(content, |request| request.header("authorization") == Some("Basic dTpw"));
    let error = Bench::new().pull(&name(&server)).unwrap_err();
    assert!(error.message.contains("incorrect username") && error.message.contains("config.json"), "{error}");
    assert_eq!(Bench::new().pull_as(&name(&server), Some(("u", "p"))).unwrap().id, image.id);
}

/// Runs in a process of its own: credentials come by files named in the environment.
#[test]
fn credentials_come_from_dockers_files_and_helpers() {
    if let Ok(name) = std::env::var("TEST_PULL") {
        eprintln!("pulled {}", Bench::new().pull(&name).unwrap().id);
        return;
    }
    let (image, content) = content(&[(12, 1000)]);
    let (server, _tokens) = guarded(content, |request| {
        let identity = request.method == "POST"
            && request.body.contains("grant_type=refresh_token")
            && request.body.contains("refresh_token=id%2Ftoken");
        identity || request.header("authorization") == Some("Basic dTpw")
    });
    let host = server.address.to_string();
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-testing");
    std::fs::write(&helper, "#!/bin/sh\nread server\n[ \"$1\" = get ] && echo \"{\\\"ServerURL\\\":\\\"$server\\\",\\\"Username\\\":\\\"u\\\",\\\"Secret\\\":\\\"p\\\"}\"\n").unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for config in [
        format!(r#"{{"auths":{{"{host}":{{"auth":"dTpw"}}}}}}"#),
        format!(r#"{{"auths":{{"https://{host}/v1/":{{"identitytoken":"id/token"}}}}}}"#),
        format!(r#"{{"auths":{{"{host}":{{"registrytoken":"ticket"}}}}}}"#),
        format!(r#"{{"credHelpers":{{"{host}":"testing"}}}}"#),
        r#"{"credsStore":"testing"}"#.to_owned(),
    ] {
        std::fs::write(dir.path().join("config.json"), &config).unwrap();
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let output = again("credentials_come_from_dockers_files_and_helpers")
            .env("TEST_PULL", name(&server))
            .env("DOCKER_CONFIG", dir.path())
            .env("PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(&image.id.to_string()), "{config}: {said}");
    }
}

#[test]
fn layers_come_in_parallel() {
    let (image, content) = content(&[(13, 50_000), (14, 50_000), (15, 50_000), (16, 50_000)]);
    let layers: Vec<String> = image.layers.iter().map(|layer| layer.digest.to_string()).collect();
    let together = Arc::new((Mutex::new((0, 0)), Condvar::new()));
    let shared = together.clone();
    let server = Server::start(move |request| {
        if layers.iter().any(|layer| request.path.contains(layer)) {
            let (count, wake) = &*shared;
            let mut now = count.lock().unwrap();
            now.0 += 1;
            now.1 = now.1.max(now.0);
            wake.notify_all();
            // Waits for a second one; alone it would wait in vain.
            let (mut now, _) = wake.wait_timeout_while(now, Duration::from_secs(5), |now| now.1 < 2).unwrap();
            now.0 -= 1;
        }
        content.answer(request)
    });
    assert_eq!(Bench::new().pull(&name(&server)).unwrap().id, image.id);
    assert!(together.0.lock().unwrap().1 >= 2);
}

#[test]
fn the_right_platform_is_chosen_from_nested_indexes() {
    let (image, mut content) = content(&[(17, 1000)]);
    let manifest = content.manifests["v"].1.clone();
    let kind = "application/vnd.oci.image.index.v1+json";
    let wrap = |inner: &[u8], inner_kind: &str, platform: Option<&str>| {
        let digest = bulkhead_archive::hash::Hasher::sha256(inner);
        let mut entry = serde_json::json!({ "mediaType": inner_kind, "digest": digest, "size": inner.len() });
        if let Some(architecture) = platform {
            entry["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
        }
        let foreign = serde_json::json!({ "mediaType": inner_kind, "digest": format!("sha256:{}", "0".repeat(64)),
            "size": 1, "platform": { "os": "linux", "architecture": "s390x" } });
        serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [foreign, entry] })
    };
    let host = bulkhead_types::Platform::host().architecture;
    let mut index = wrap(&manifest, "application/vnd.oci.image.manifest.v1+json", Some(&host));
    for depth in 0..4 {
        content.retag(&index);
        let serving = content.clone();
        let server = Server::start(move |request| serving.answer(request));
        let bench = Bench::new();
        let pulled = bench.pull(&name(&server));
        match depth {
            0 | 1 => {
                let top = bulkhead_archive::hash::Hasher::sha256(&content.manifests["v"].1);
                assert_eq!(pulled.unwrap().id, image.id);
                // The index's own digest leads to the image, as Docker has it.
                assert!(bench.store.find(&format!("{}/app@{top}", server.address)).unwrap().is_some());
            }
            _ => assert!(pulled.unwrap_err().message.contains("nested too deeply")),
        }
        index = wrap(&content.manifests["v"].1, kind, None);
    }
    let only = wrap(&manifest, "application/vnd.oci.image.manifest.v1+json", Some("riscv64"));
    content.retag(&only);
    let server = Server::start(move |request| content.answer(request));
    let error = Bench::new().pull(&name(&server)).unwrap_err();
    assert!(error.message.contains("linux/riscv64"), "{error}");
}

#[test]
fn absence_and_silence_are_told_with_the_cure() {
    let server = Server::start(|request| Content::default().answer(request));
    let error = Bench::new().pull(&name(&server)).unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    assert!(error.message.contains("manifest unknown"), "{error}");
    let port = support::programs::free_port();
    let error = Bench::new().pull(&format!("127.0.0.1:{port}/app:v")).unwrap_err();
    assert!(error.message.contains("refused"), "{error}");
    let error = Bench::new().pull("no-such-host.invalid/app:v").unwrap_err();
    assert_eq!(error.class, ErrorClass::Unavailable);
}

/// kill -9 in the middle: the next pull goes on where it was, and prune clears what is left otherwise.
#[test]
fn a_killed_pull_is_resumed_or_pruned() {
    if let (Ok(name), Ok(root)) = (std::env::var("TEST_PULL"), std::env::var("TEST_ROOT")) {
        let store = bulkhead_image::Store::open(root.as_ref()).unwrap();
        let options = bulkhead_image::PullOptions { platform: bulkhead_types::Platform::host(), credentials: None };
        let pulled = store.pull(&support::reference(&name), &options, &Checking::default(), &bulkhead_image::Silent);
        panic!("{pulled:?}");
    }
    let (image, content) = content(&[(18, 2 * MIB)]);
    let honest = content.clone();
    let slow = Server::start(move |request| {
        let mut answer = content.answer(request);
        answer.slow = Some(Duration::from_millis(30));
        answer
    });
    let bench = Bench::new();
    let partial = bench.dir.path().join("images/partial").join(format!("sha256-{}", image.layers[0].digest.hex()));
    for round in 0..2 {
        let mut child = again("a_killed_pull_is_resumed_or_pruned")
            .env("TEST_PULL", name(&slow))
            .env("TEST_ROOT", bench.dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = partial.metadata().map_or(0, |data| data.len());
        while partial.metadata().map_or(0, |data| data.len()) < before + 200_000 {
            assert!(child.try_wait().unwrap().is_none(), "round {round}");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_invisible(&bench, &name(&slow));
    }
    let part = partial.metadata().unwrap().len();
    let quick = Server::start(move |request| honest.answer(request));
    bench.pull(&name(&quick)).unwrap();
    let range = quick.requests("/blobs/").iter().find_map(|request| request.header("range").map(str::to_owned));
    assert_eq!(range, Some(format!("bytes={part}-")));
    assert!(!partial.exists());

    // Without another pull, prune clears it.
    let leftover = bench.dir.path().join("images/partial").join(format!("sha256-{}", "5".repeat(64)));
    std::fs::write(&leftover, b"half").unwrap();
    std::fs::write(bench.dir.path().join("images/partial/spool-0011"), b"half").unwrap();
    let (removed, freed) = bench.store.prune(&|_| true, &bench.sink).unwrap();
    assert!(removed.is_empty() && freed == 8);
    assert!(bench.files("partial").is_empty());
    assert!(bench.store.find(&image.id.to_string()).unwrap().is_some());
}

/// A damaged part is noticed at the end and fetched anew.
#[test]
fn a_damaged_part_does_not_stay() {
    let (image, content) = content(&[(19, MIB)]);
    let server = Server::start(move |request| content.answer(request));
    let bench = Bench::new();
    let dir = bench.dir.path().join("images/partial");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(format!("sha256-{}", image.layers[0].digest.hex())), vec![7u8; 4096]).unwrap();
    assert_eq!(bench.pull(&name(&server)).unwrap().id, image.id);
}

#[test]
fn a_full_disk_leaves_nothing_visible_and_heals() {
    if !rustix::process::geteuid().is_root() {
        support::skip("root", "a small file system can only be mounted by root");
        return;
    }
    let (image, content) = content(&[(20, 6 * MIB)]);
    let server = Server::start(move |request| content.answer(request));
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    support::programs::run("mount", &["-t", "tmpfs", "-o", "size=2m", "none", place]);
    let result = std::panic::catch_unwind(|| {
        let store = bulkhead_image::Store::open(dir.path()).unwrap();
        let (sink, options) = (
            Checking::default(),
            bulkhead_image::PullOptions { platform: bulkhead_types::Platform::host(), credentials: None },
        );
        let pull = || store.pull(&support::reference(&name(&server)), &options, &sink, &bulkhead_image::Silent);
        let error = pull().unwrap_err();
        assert!(error.message.contains("No space left") && error.message.contains("prune"), "{error}");
        assert!(store.list().unwrap().is_empty() && sink.ready.lock().unwrap().is_empty());
        support::programs::run("mount", &["-o", "remount,size=32m", place]);
        assert_eq!(pull().unwrap().id, image.id);
        let error = store.load(&mut &vec![1u8; 100][..], &sink, &bulkhead_image::Silent).unwrap_err();
        assert!(error.message.contains("refused"), "{error}");
    });
    support::programs::run("umount", &[place]);
    result.unwrap();
}

/// Kills at every stage of a pull: afterwards the image is wholly there or not at all, and the next pull completes.
#[test]
fn a_pull_killed_at_any_moment_leaves_a_sound_store() {
    if let (Ok(name), Ok(root)) = (std::env::var("TEST_PULL"), std::env::var("TEST_ROOT")) {
        let store = bulkhead_image::Store::open(root.as_ref()).unwrap();
        let options = bulkhead_image::PullOptions { platform: bulkhead_types::Platform::host(), credentials: None };
        store.pull(&support::reference(&name), &options, &Checking::default(), &bulkhead_image::Silent).unwrap();
        return;
    }
    let (image, content) = content(&[(30, 200_000), (31, 100_000), (32, 100_000)]);
    let server = Server::start(move |request| {
        let mut answer = content.answer(request);
        answer.slow = Some(Duration::from_millis(2));
        answer
    });
    let (mut whole, mut absent) = (0, 0);
    for round in 0..20 {
        let bench = Bench::new();
        let mut child = again("a_pull_killed_at_any_moment_leaves_a_sound_store")
            .env("TEST_PULL", name(&server))
            .env("TEST_ROOT", bench.dir.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(5 + 8 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        match bench.store.find(&name(&server)).unwrap() {
            Some(found) => {
                assert_eq!((found.id, found.layers), (image.id.clone(), image.layers.clone()));
                whole += 1;
            }
            None => {
                assert!(bench.store.list().unwrap().is_empty());
                absent += 1;
            }
        }
        assert_eq!(bench.pull(&name(&server)).unwrap().id, image.id);
        bench.store.prune(&|_| true, &bench.sink).unwrap();
        assert!(bench.files("partial").is_empty());
        assert_eq!(bench.files("blobs/sha256").len(), 5);
    }
    eprintln!("killed before the end: {absent}, after: {whole}");
}

/// A load that is killed leaves a spool; whoever adds next clears it.
#[test]
fn a_killed_load_is_cleared_by_the_next_command() {
    if let Ok(root) = std::env::var("TEST_ROOT") {
        let store = bulkhead_image::Store::open(root.as_ref()).unwrap();
        let loaded = store.load(&mut std::io::stdin(), &Checking::default(), &bulkhead_image::Silent);
        panic!("{loaded:?}");
    }
    let maker = Bench::new();
    maker.make("app:v", &[(33, MIB)]);
    let mut archive = Vec::new();
    maker.store.save(&["app:v".into()], bulkhead_image::SaveFormat::DockerArchive, &mut archive).unwrap();
    let bench = Bench::new();
    let mut child = again("a_killed_load_is_cleared_by_the_next_command")
        .env("TEST_ROOT", bench.dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, &archive[..archive.len() / 2]).unwrap();
    while bench.files("partial").is_empty() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    // Not ours to clear while its owner lives.
    bench.make("other:v", &[(34, 100)]);
    assert_eq!(bench.files("partial").len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    bench.make("third:v", &[(35, 100)]);
    assert!(bench.files("partial").is_empty());
    assert_eq!(bench.store.list().unwrap().len(), 2);
}

/// Whatever the disk loses, another pull brings back.
#[test]
fn a_damaged_store_is_healed_by_a_pull() {
    let (image, content) = content(&[(36, 100_000)]);
    let server = Server::start(move |request| content.answer(request));
    let bench = Bench::new();
    bench.pull(&name(&server)).unwrap();
    for digest in [&image.id, &image.manifest, &image.layers[0].digest] {
        let path = bench.dir.path().join("images/blobs/sha256").join(digest.hex());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        bench.sink.ready.lock().unwrap().clear();
        if *digest != image.layers[0].digest {
            assert!(bench.store.find(&name(&server)).unwrap_err().message.contains("damaged"));
        }
        bench.pull(&name(&server)).unwrap();
        assert_eq!(bench.store.find(&name(&server)).unwrap().unwrap().id, image.id);
        bytes[20] ^= 1;
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}

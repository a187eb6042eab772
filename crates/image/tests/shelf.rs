//! Names, removal and archives with Docker's meaning.
#![allow(missing_docs, clippy::print_stderr, clippy::unwrap_used, clippy::too_many_lines)]

mod support;

use bulkhead_image::config::ImageConfig;
use bulkhead_image::{Removed, SaveFormat, Silent};
use bulkhead_types::{Digest, ErrorClass};
use support::{Bench, config, reference, tar_of};

fn free(_: &Digest) -> Option<String> {
    None
}

#[test]
fn the_last_name_takes_the_content_with_it() {
    let bench = Bench::new();
    let image = bench.make("app:v1", &[(1, 1000)]);
    bench.store.tag("app:v1", &reference("app:v2")).unwrap();
    bench.store.tag("app:v1", &reference("other:v1")).unwrap();
    let remove = |name: &str, force: bool| bench.store.remove(name, force, &free, &bench.sink);
    assert_eq!(remove("app:v2", false).unwrap(), [Removed::Untagged(reference("app:v2"))]);
    assert_eq!(remove("app:v2", false).unwrap_err().class, ErrorClass::NotFound);
    let error = remove(image.id.hex(), false).unwrap_err();
    assert!(error.class == ErrorClass::Conflict && error.message.contains("must be forced"), "{error}");
    remove("other:v1", false).unwrap();
    let held = |_: &Digest| Some("container abc".to_owned());
    let error = bench.store.remove("app:v1", false, &held, &bench.sink).unwrap_err();
    assert!(error.class == ErrorClass::Conflict && error.message.contains("container abc"), "{error}");
    assert_eq!(
        remove("app:v1", false).unwrap(),
        [Removed::Untagged(reference("app:v1")), Removed::Deleted(image.id.clone())]
    );
    assert!(bench.files("blobs/sha256").is_empty());
    assert!(bench.sink.ready.lock().unwrap().is_empty());
    assert_eq!(bench.store.size().unwrap(), 0);
}

#[test]
fn shared_layers_stay_while_somebody_needs_them() {
    let bench = Bench::new();
    let base = bench.make("base:v1", &[(2, 1000)]);
    let tar = tar_of("more", b"more");
    let child =
        bench.store.add_layer(Some(&base), &mut &tar[..], config(), Some(&reference("child:v1")), &bench.sink).unwrap();
    assert_eq!(child.layers[0], base.layers[0]);
    assert_eq!(child.config.history.len(), 2);
    bench.store.remove("base:v1", false, &free, &bench.sink).unwrap();
    assert_eq!(bench.sink.ready.lock().unwrap().len(), 2);
    bench.store.find("child:v1").unwrap().unwrap();
    let (removed, freed) = bench.store.prune(&|_| false, &bench.sink).unwrap();
    assert_eq!(removed.len(), 2);
    assert!(freed > 0 && bench.files("blobs/sha256").is_empty());
}

#[test]
fn a_moved_name_leaves_a_nameless_image_for_prune() {
    let bench = Bench::new();
    let old = bench.make("app:v1", &[(3, 1000)]);
    let new = bench.make("app:v1", &[(4, 1000)]);
    let listed = bench.store.list().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(bench.store.find(&old.id.to_string()).unwrap().unwrap().references.is_empty());
    let (removed, _) = bench.store.prune(&|image| !image.references.is_empty(), &bench.sink).unwrap();
    assert_eq!(removed, [Removed::Deleted(old.id)]);
    assert_eq!(bench.store.find("app:v1").unwrap().unwrap().id, new.id);
}

#[test]
fn saved_archives_are_the_same_bytes_and_load_to_the_same_images() {
    let bench = Bench::new();
    let one = bench.make("one:v1", &[(5, 200_000), (6, 10)]);
    let two = bench.make("two:v1", &[(5, 200_000), (7, 10)]);
    let names = ["one:v1".to_owned(), "two:v1".to_owned()];
    for format in [SaveFormat::DockerArchive, SaveFormat::OciArchive] {
        let mut archive = Vec::new();
        bench.store.save(&names, format, &mut archive).unwrap();
        let mut again = Vec::new();
        bench.store.save(&[names[1].clone(), names[0].clone()], format, &mut again).unwrap();
        assert!(archive == again);
        let other = Bench::new();
        let images = other.store.load(&mut &archive[..], &other.sink, &Silent).unwrap();
        let mut ids: Vec<_> = images.iter().map(|image| (image.manifest.clone(), image.id.clone())).collect();
        let mut expected = vec![(one.manifest.clone(), one.id.clone()), (two.manifest.clone(), two.id.clone())];
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected);
        assert_eq!(other.store.find("two:v1").unwrap().unwrap().id, two.id);
        // Every truncation is refused and leaves nothing.
        let last = archive.windows(10).rposition(|window| window == b"oci-layout").unwrap();
        for end in [100, archive.len() / 2, last + 100] {
            let third = Bench::new();
            let loaded = third.store.load(&mut &archive[..end], &third.sink, &Silent).map(|_| ());
            let error = loaded.expect_err(&format!("{format:?} {end} of {}", archive.len()));
            assert_eq!(error.class, ErrorClass::Invalid, "{error}");
            assert!(third.store.list().unwrap().is_empty() && third.files("blobs/sha256").is_empty());
            assert!(third.files("partial").is_empty());
        }
        // And an altered blob.
        let at = archive.windows(8).position(|window| window == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).unwrap();
        archive[at + 40] ^= 1;
        let third = Bench::new();
        let error = third.store.load(&mut &archive[..], &third.sink, &Silent).unwrap_err();
        assert!(error.message.contains("hashes to"), "{error}");
        assert!(third.files("blobs/sha256").is_empty());
    }
    assert_eq!(
        bench.store.save(&["none:v1".into()], SaveFormat::OciArchive, &mut Vec::new()).unwrap_err().class,
        ErrorClass::NotFound
    );
}

#[test]
fn import_takes_compressed_and_plain_and_fills_the_configuration_in() {
    let tar = tar_of("file", &support::noise(8, 100_000));
    let bench = Bench::new();
    let plain = bench.store.import(&mut &tar[..], config(), Some(&reference("a:v1")), &bench.sink).unwrap();
    assert_eq!(plain.config.rootfs.diff_ids, [bulkhead_archive::hash::Hasher::sha256(&tar)]);
    assert_eq!(plain.config.rootfs.kind, "layers");
    let mut packed = Vec::new();
    let mut encoder =
        bulkhead_archive::compress::encoder(&mut packed, bulkhead_archive::compress::Compression::Zstd).unwrap();
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    encoder.finish().unwrap();
    let again = bench.store.import(&mut &packed[..], config(), None, &bench.sink).unwrap();
    assert_eq!(again.id, plain.id);
    let none = bench.store.import(&mut &tar[..], ImageConfig::default(), None, &bench.sink).unwrap();
    assert!(none.references.is_empty());
}

/// Many processes' worth of concurrent work on one store: no update is lost.
#[test]
fn parallel_work_loses_nothing() {
    let bench = Bench::new();
    bench.make("seed:v1", &[(9, 1000)]);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let bench = &bench;
            scope.spawn(move || {
                let store = bulkhead_image::Store::open(bench.dir.path()).unwrap();
                for round in 0..10 {
                    store.tag("seed:v1", &reference(&format!("w{worker}:r{round}"))).unwrap();
                    let tar = tar_of(&format!("f{worker}-{round}"), b"x");
                    let name = reference(&format!("i{worker}:r{round}"));
                    store.add_layer(None, &mut &tar[..], config(), Some(&name), &bench.sink).unwrap();
                    if round % 2 == 0 {
                        store.remove(&name.familiar(), false, &free, &bench.sink).unwrap();
                    }
                }
            });
        }
    });
    let image = bench.store.find("seed:v1").unwrap().unwrap();
    assert_eq!(image.references.len(), 81);
    assert_eq!(bench.store.list().unwrap().len(), 41);
}

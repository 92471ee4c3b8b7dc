//! The mirror's folder may be lost, damaged, full or impossible: what is in it can be had again, and nothing else depends on it.

use std::path::{Path, PathBuf};

use tagboat::api::condition::Reason;
use tagboat::api::{ConfigRepo, ImageUpdate};

use super::{FILE, written};
use crate::setup::*;
use crate::support::world::World;

/// All files below a folder, largest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(std::fs::metadata(path).map_or(0, |file| file.len())));
    found
}

/// Another file takes its place: who has mapped the old one would die of one that shrinks.
fn put(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("damaged");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn garble(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap_or_default();
    let from = bytes.len() / 3;
    bytes.iter_mut().skip(from).for_each(|byte| *byte ^= 0x5a);
    put(path, &bytes);
}

fn empty(path: &Path) {
    put(path, b"");
}

fn cut_short(path: &Path) {
    let bytes = std::fs::read(path).unwrap_or_default();
    put(path, &bytes[..bytes.len() / 2]);
}

fn ends(path: &Path, end: &str) -> bool {
    path.to_string_lossy().ends_with(end)
}

fn each(data: &Path, which: impl Fn(&Path) -> bool, damage: fn(&Path)) {
    files(data).iter().filter(|path| which(path)).for_each(|path| damage(path));
}

fn is_object(path: &Path) -> bool {
    path.to_string_lossy().contains("/objects/")
}

type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 10] = [
    ("nothing is left", |data| drop(std::fs::remove_dir_all(data))),
    ("packs are garbled", |data| each(data, |path| ends(path, ".pack"), garble)),
    ("packs are cut short", |data| each(data, |path| ends(path, ".pack"), cut_short)),
    ("indexes are garbled", |data| each(data, |path| ends(path, ".idx"), garble)),
    ("all objects are empty", |data| each(data, is_object, empty)),
    ("loose objects are garbled", |data| {
        each(data, |path| is_object(path) && !path.to_string_lossy().contains("/pack/"), garble)
    }),
    ("refs are garbled", |data| each(data, |path| path.to_string_lossy().contains("/refs/"), garble)),
    ("HEAD and config are empty", |data| {
        each(data, |path| ends(path, "/HEAD") || ends(path, "/config"), empty);
    }),
    ("locks are left behind", |data| {
        each(
            data,
            |path| path.to_string_lossy().contains("/refs/tagboat/"),
            |path| {
                drop(std::fs::write(path.with_extension("lock"), ""));
            },
        );
    }),
    ("half a pack is left behind", |data| {
        each(data, |path| ends(path, ".pack"), |path| drop(std::fs::copy(path, path.with_file_name("pack_git2_0815"))));
    }),
];

/// While nobody uses it, and under the hands of who does: the next bumps go in, each once.
pub async fn damaged(world: World) {
    let repo = one_app(&world, FILE).await;
    let launch = world.launch();
    let mut running = Some(world.run(&launch).await);
    let mut tags = Vec::new();
    let mut tag = 0;
    for (what, damage) in DAMAGES {
        for is_running in [true, false] {
            println!("{what}, {}", if is_running { "while it runs" } else { "before it starts" });
            if !is_running && let Some(tagboat) = running.take() {
                tagboat.kill9().await;
            }
            damage(&launch.data_dir);
            if !is_running {
                running = Some(world.run(&launch).await);
            }
            tag += 1;
            tags.push(format!("1.{tag}.0"));
            world.push("app", &[&tags[tag - 1]]).await;
            in_git(&repo, FILE, &format!(":1.{tag}.0 ")).await;
            ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
            // So that the next damage meets packs as well as loose objects.
            repo.commit(&[("more.txt", &format!("{what} {is_running}"))], "more");
            super::seen(&world, &repo).await;
        }
    }
    assert_eq!(written(&repo), tags);
    assert_eq!(repo.log().len(), 1 + tags.len() + DAMAGES.len() * 2);
    assert!(running.is_some());
    git_says(&repo, &["fsck", "--strict"]);
}

/// Who has mapped a file that shrinks may die of it (`SIGBUS`): the next life starts over.
pub async fn cut_in_place(world: World) {
    let repo = one_app(&world, FILE).await;
    let text = |tag: &str| format!("{}{}", noise(300_000), marked(&world, "app", tag));
    repo.commit(&[(FILE, &text("1.0.0"))], "more than a page of memory");
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    world.push("app", &["1.1.0"]).await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    each(
        &launch.data_dir,
        |path| ends(path, ".pack"),
        |path| std::fs::File::options().write(true).open(path).unwrap().set_len(20).unwrap(),
    );
    repo.commit(&[(FILE, &format!("# more\n{}", text("1.1.0")))], "a difference to what was cut");
    world.push("app", &["1.2.0"]).await;
    tokio::select! {
        code = tagboat.exited() => println!("it ended with {code}"),
        () = in_git(&repo, FILE, ":1.2.0 ") => println!("it lived on"),
    }
    tagboat.kill9().await;
    let _tagboat = world.run(&launch).await;
    in_git(&repo, FILE, ":1.2.0 ").await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(written(&repo), ["1.1.0", "1.2.0"]);
}

/// Text that no compression makes small.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_digit((state >> 33) as u32 % 36, 36).unwrap()
    };
    (0..bytes)
        .map(|n| {
            if n % 80 == 79 {
                '\n'
            } else if n % 80 == 0 {
                '#'
            } else {
                next()
            }
        })
        .collect()
}

pub async fn full(world: World) {
    let repo = one_app(&world, FILE).await;
    // The repository fits, and the commit does not.
    let large = format!("{}{}", marked(&world, "app", "1.0.0"), noise(60_000));
    let launch = world.launch();
    let tagboat = world.run(&launch).await;
    ready::<ImageUpdate>(&world, "fleet", "True", Reason::Succeeded).await;
    let head = repo.commit(&[("large.yaml", &large)], "a large one");
    super::seen(&world, &repo).await;
    tagboat.kill9().await;
    let mut small = launch.clone();
    small.largest_file = Some(32);
    let tagboat = world.run(&small).await;
    world.push("app", &["1.1.0"]).await;
    let failed: ImageUpdate = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("local mirror failed"), "{}", message(&failed));
    assert_eq!(repo.head(), head, "half a commit is none");
    // And then not even what others wrote can be kept.
    repo.commit(&[("other.yaml", &noise(60_000))], "another large one");
    let failed: ConfigRepo = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains("local mirror failed"), "{}", message(&failed));
    tagboat.get("/livez").await;
    tagboat.kill9().await;

    let tagboat = world.run(&launch).await;
    in_git(&repo, FILE, ":1.1.0 ").await;
    in_git(&repo, "large.yaml", ":1.1.0 ").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    assert_eq!(robots(&repo.log()).len(), 1);
    assert!(!tagboat.log().contains("panicked"));
}

pub async fn nowhere(world: World) {
    let repo = one_app(&world, FILE).await;
    world.push("app", &["1.1.0"]).await;
    let mut launch = world.launch();
    let file = launch.data_dir.clone();
    std::fs::write(&file, "no folder").unwrap();
    launch.data_dir = file.join("data");
    let tagboat = world.run(&launch).await;
    let failed: ConfigRepo = ready(&world, "fleet", "False", Reason::GitOperationFailed).await;
    assert!(message(&failed).contains(&*file.to_string_lossy()), "{}", message(&failed));
    std::fs::remove_file(&file).unwrap();
    in_git(&repo, FILE, ":1.1.0 ").await;
    ready::<ConfigRepo>(&world, "fleet", "True", Reason::Succeeded).await;
    assert!(!tagboat.log().contains("panicked"));
}

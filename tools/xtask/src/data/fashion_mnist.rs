//! Fashion-MNIST as `data/X.npy` and `data/y.npy`.
//!
//! The authors' four files are found, unpacked and checked; training and test part are joined, in
//! this order. Somebody's own `X.npy` and `y.npy` are never overwritten.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::data::npy::Array;
use crate::failure::Failure;
use crate::files::{size, write_whole};
use crate::hash::{sha256, sha256_of_file};
use crate::process;
use crate::progress::{Step, fetched};
use crate::project::Project;
use crate::setup;

/// One of the authors' files.
struct Source {
    name: &'static str,
    /// The unpacked file's length.
    length: usize,
    /// SHA-256 of the unpacked file.
    sha256: &'static str,
}

/// Images and labels of the training part, then of the test part.
const SOURCES: [Source; 4] = [
    Source {
        name: "train-images-idx3-ubyte",
        length: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    Source {
        name: "train-labels-idx1-ubyte",
        length: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    Source {
        name: "t10k-images-idx3-ubyte",
        length: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    Source {
        name: "t10k-labels-idx1-ubyte",
        length: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

/// SHA-256 of the two files that this command makes.
const X_SHA256: &str = "2dab991a2061b345cf0dd827d566abc6328807faa576f3cb2fa2d71cccca79db";
const Y_SHA256: &str = "529fe5b531d21db2d9eab09bc7eeb6a7abbed7785710c05623ef15d125b08374";

const CLASSES: &str =
    "T-shirt/top\nTrouser\nPullover\nDress\nCoat\nSandal\nShirt\nSneaker\nBag\nAnkle boot\n";

const PACKAGE: &str = "dataset-fashion-mnist";
const INSTALLED: &str = "/usr/share/datasets/fashion-mnist";
const PUBLISHED: &str = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com";

/// Bytes of the four packed files; the Debian package has as many.
const PACKED: u64 = 31_000_000;

/// Images per class in `data/sample`.
const SAMPLE: usize = 400;

/// Whether `data/` holds the two files that this command makes.
pub(crate) fn is_there(project: &Project) -> bool {
    [("data/X.npy", X_SHA256), ("data/y.npy", Y_SHA256)]
        .iter()
        .all(|(name, sum)| sha256_of_file(&project.path(name)).is_ok_and(|found| found == *sum))
}

/// Makes `data/X.npy`, `data/y.npy` and `data/classes.txt`, unless they exist.
pub(crate) fn fetch(project: &Project, mut step: Step) -> Result<(), Failure> {
    let _lock = project.lock()?;
    let (x, y) = (project.path("data/X.npy"), project.path("data/y.npy"));
    let ours = |path: &Path, sum: &str| sha256_of_file(path).is_ok_and(|found| found == sum);
    let (x_is_ours, y_is_ours) = (ours(&x, X_SHA256), ours(&y, Y_SHA256));
    if x_is_ours && y_is_ours {
        write_classes(project)?;
        step.done("Fashion-MNIST, 70,000 images, up to date");
        return Ok(());
    }
    match (x.exists() && !x_is_ours, y.exists() && !y_is_ours) {
        (true, true) => {
            step.done(
                "data/X.npy and data/y.npy are not Fashion-MNIST's; they are used as they are",
            );
            return Ok(());
        }
        (false, false) => {}
        (x_is_foreign, _) => {
            let (own, other) = if x_is_foreign { ("X", "y") } else { ("y", "X") };
            return Err(Failure::new(format!(
                "data/{own}.npy is not Fashion-MNIST's, and its data/{other}.npy is not there"
            ))
            .advice(format!(
                "put the {other}.npy that belongs to it beside it, or move data/{own}.npy away \
                 to fetch Fashion-MNIST"
            )));
        }
    }

    let temporary = project.temporary("data-")?;
    let packed = find(project, &mut step, temporary.path())?;
    let (images, labels) = join(&mut step, &packed)?;
    for (path, array, sum) in [(&x, images, X_SHA256), (&y, labels, Y_SHA256)] {
        let bytes = array.to_bytes();
        if sha256(&bytes) != sum {
            return Err(Failure::new(format!(
                "{} came out wrong; this is a bug",
                project.show(path)
            )));
        }
        write(path, &bytes)?;
    }
    write_classes(project)?;
    step.done("Fashion-MNIST, 70,000 images");
    Ok(())
}

/// Makes `data/sample` from the full data: evenly spaced images of each class.
pub(crate) fn sample(project: &Project, step: Step) -> Result<(), Failure> {
    let read = |name: &str| {
        let path = project.path("data").join(name);
        Array::read(&path).ok_or_else(|| {
            Failure::new(format!("{} is not an array of uint8", project.show(&path)))
                .advice("run `cargo xtask data`; the sample is taken from Fashion-MNIST")
        })
    };
    let (images, labels) = (read("X.npy")?, read("y.npy")?);
    let chosen = stratified(&labels.values, SAMPLE);
    let folder = project.path("data/sample");
    write(&folder.join("X.npy"), &images.take(&chosen).to_bytes())?;
    write(&folder.join("y.npy"), &labels.take(&chosen).to_bytes())?;
    write(&folder.join("classes.txt"), CLASSES.as_bytes())?;
    step.done(&format!("{} images", chosen.len()));
    Ok(())
}

/// `each` indices of every class, evenly spaced over its images, in ascending order.
fn stratified(labels: &[u8], each: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..=u8::MAX)
        .flat_map(|class| {
            let of_class: Vec<usize> =
                (0..labels.len()).filter(|&index| labels[index] == class).collect();
            let count = each.min(of_class.len());
            (0..count).map(move |k| of_class[k * of_class.len() / count]).collect::<Vec<_>>()
        })
        .collect();
    chosen.sort_unstable();
    chosen
}

/// Finds a folder with the four packed files.
fn find(project: &Project, step: &mut Step, temporary: &Path) -> Result<PathBuf, Failure> {
    let complete = |folder: &Path| {
        SOURCES.iter().all(|source| folder.join(format!("{}.gz", source.name)).is_file())
    };
    let installed = PathBuf::from(INSTALLED);
    if complete(&installed) {
        return Ok(installed);
    }
    let debian = from_debian(project, step, temporary);
    if let Ok(folder) = &debian
        && complete(folder)
    {
        return debian;
    }
    from_authors(project, step, temporary).map_err(|published| match debian {
        Ok(_) => published,
        Err(debian) => Failure::new(format!(
            "Fashion-MNIST could not be fetched, neither as the Debian package {PACKAGE} nor from its authors\n  \
             apt-get: {debian}\n  authors: {published}"
        ))
        .advice(format!(
            "check the network, or put the four .gz files into {INSTALLED}, or your own X.npy and y.npy into data/"
        )),
    })
}

/// Downloads the files of the Debian package, and unpacks them without root.
fn from_debian(project: &Project, step: &mut Step, temporary: &Path) -> Result<PathBuf, Failure> {
    let fetch = |step: &mut Step| {
        let mut command = project.command("apt-get");
        let command = command.args(["-q", "download", PACKAGE]).current_dir(temporary);
        let what = "fetching the Debian package";
        process::run_watched(project, step, what, command, "data", |_| so_far(temporary))
    };
    let fetched = fetch(step).or_else(|failure| {
        // A new container has no package lists, and only root may download them.
        let root = process::ask(project.command("id").arg("-u")).is_some_and(|id| id == "0");
        if !root {
            return Err(failure);
        }
        let mut update = project.command("apt-get");
        process::run(project, step, "apt-get update", update.args(["-q", "update"]), "data")?;
        fetch(step)
    });
    fetched?;
    let package = fs::read_dir(temporary)
        .ok()
        .and_then(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.extension() == Some("deb".as_ref()))
        })
        .ok_or_else(|| Failure::new("apt-get left no package behind"))?;
    let unpacked = temporary.join("package");
    let mut command = project.command("dpkg-deb");
    command.arg("-x").args([&package, &unpacked]);
    process::run(project, step, "unpacking the Debian package", &mut command, "data")?;
    Ok(unpacked.join(INSTALLED.trim_start_matches('/')))
}

/// Downloads the files that the authors publish.
fn from_authors(project: &Project, step: &mut Step, temporary: &Path) -> Result<PathBuf, Failure> {
    // python3 is already required; a downloader in Rust would be the largest part of this program.
    const FETCH: &str = "import sys, urllib.request as r\n\
        a, p = sys.argv[1:]\n\
        with r.urlopen(a, timeout=60) as i, open(p, 'wb') as o:\n    \
            while b := i.read(1 << 20): o.write(b)";
    let python = setup::python::find(project)?.program;
    for source in &SOURCES {
        let name = format!("{}.gz", source.name);
        let mut command = project.command(&python);
        command.args(["-c", FETCH, &format!("{PUBLISHED}/{name}")]).arg(temporary.join(&name));
        let what = format!("fetching {name}");
        process::run_watched(project, step, &what, &mut command, "data", |_| so_far(temporary))?;
    }
    Ok(temporary.to_owned())
}

fn so_far(folder: &Path) -> String {
    fetched(size(folder), PACKED)
}

/// Unpacks and checks the four files in `folder`; returns X and y.
fn join(step: &mut Step, folder: &Path) -> Result<(Array, Array), Failure> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for source in &SOURCES {
        step.update(&format!("checking {}", source.name));
        let content = unpack(&folder.join(format!("{}.gz", source.name)), source)?;
        // idx files: a magic number and the size of each axis, four bytes each, then the values.
        if source.name.contains("images") {
            images.extend(&content[16..]);
        } else {
            labels.extend(&content[8..]);
        }
    }
    let count = labels.len();
    Ok((
        Array { shape: vec![count, 28, 28], values: images },
        Array { shape: vec![count], values: labels },
    ))
}

fn unpack(path: &Path, source: &Source) -> Result<Vec<u8>, Failure> {
    let file = fs::File::open(path).map_err(|error| Failure::of_file("read", path, &error))?;
    let mut content = Vec::with_capacity(source.length + 1);
    // One byte more than expected is enough to detect a longer file.
    let limit = source.length as u64 + 1;
    GzDecoder::new(file)
        .take(limit)
        .read_to_end(&mut content)
        .map_err(|error| Failure::of_file("unpack", path, &error))?;
    let found = sha256(&content);
    if found != source.sha256 {
        return Err(Failure::new(format!(
            "{} is not Fashion-MNIST's: SHA-256 of its content is {found}, expected {}",
            path.display(),
            source.sha256
        ))
        .advice(
            "remove the file and fetch it again; data/README.md lists the sums and the sources",
        ));
    }
    Ok(content)
}

fn write_classes(project: &Project) -> Result<(), Failure> {
    let path = project.path("data/classes.txt");
    match path.exists() {
        true => Ok(()),
        false => write(&path, CLASSES.as_bytes()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes).map_err(|error| Failure::of_file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.gz");
        let mut encoder = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap();
        (folder, path)
    }

    #[test]
    fn a_wrong_checksum_names_both_sums_and_what_to_do() {
        let (_folder, path) = packed(b"abd");
        // SHA-256 of `abc`.
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let source = Source { name: "labels", length: 3, sha256: sum };
        let text = unpack(&path, &source).unwrap_err().to_string();
        assert!(
            text.contains("is not Fashion-MNIST's: SHA-256 of its content is a52d159f"),
            "{text}"
        );
        assert!(text.contains(&format!("expected {sum}")), "{text}");
        assert!(text.contains("what to do: remove the file"), "{text}");
        let (_folder, path) = packed(b"abc");
        assert_eq!(unpack(&path, &source).unwrap(), b"abc");
    }

    #[test]
    fn a_file_that_unpacks_to_more_is_not_read_to_its_end() {
        let (_folder, path) = packed(&vec![0; 1 << 20]);
        let source = Source { name: "labels", length: 3, sha256: "" };
        assert!(unpack(&path, &source).is_err());
    }

    #[test]
    fn a_sample_spreads_over_each_class() {
        // Class 0 at 0, 2, 4, 6; class 1 at 1, 3, 5.
        assert_eq!(stratified(&[0, 1, 0, 1, 0, 1, 0], 2), [0, 1, 3, 4]);
    }

    #[test]
    fn own_data_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir(project.path("data")).unwrap();
        fs::write(project.path("data/X.npy"), "mine").unwrap();
        let text = fetch(&project, Step::new("data".into())).unwrap_err().to_string();
        assert!(text.contains("data/y.npy is not there"), "{text}");
        fs::write(project.path("data/y.npy"), "mine too").unwrap();
        fetch(&project, Step::new("data".into())).unwrap();
        assert_eq!(fs::read(project.path("data/X.npy")).unwrap(), b"mine");
        assert!(!project.path("data/classes.txt").exists());
    }

    #[test]
    fn the_committed_sample_holds_as_many_images_of_each_class() {
        let folder = Project::find().path("data/sample");
        let (images, labels) = (
            Array::read(&folder.join("X.npy")).unwrap(),
            Array::read(&folder.join("y.npy")).unwrap(),
        );
        assert_eq!(images.shape, [4000, 28, 28]);
        for class in 0..10 {
            assert_eq!(labels.values.iter().filter(|&&label| label == class).count(), SAMPLE);
        }
        assert_eq!(fs::read_to_string(folder.join("classes.txt")).unwrap(), CLASSES);
    }
}

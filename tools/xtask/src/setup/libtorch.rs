//! libtorch, out of PyTorch's wheel.
//!
//! Without a GPU only the CPU library is linked, and of the wheels that torch depends on it needs two small ones: 530
//! MB of download instead of 3 GB. `.tools/torch` has the unpacked wheels, `.tools/libtorch` is the folder for
//! `LIBTORCH`. Nothing here imports torch in Python.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::failure::Failure;
use crate::files::{replace, size};
use crate::process;
use crate::progress::{bytes, fetched};
use crate::project::Project;
use crate::setup::python::pip;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;

/// The exact version that tch needs; a test compares it with the locks.
const VERSION: &str = "2.13.0";

/// The wheels are those for this version of Python, whatever version is installed: nothing imports them.
const WHEELS_FOR: &str = "3.11";

/// Bytes of the wheels on x86-64 Linux, without and with CUDA. Other systems download less, and their sizes are not
/// shown.
const FETCHED: [u64; 2] = match cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    true => [530_000_000, 3_000_000_000],
    false => [0; 2],
};

/// The note if CUDA is fetched because a GPU was found, not because the user chose it.
pub(super) const GPU_FOUND: &str = "GPU found: libtorch with CUDA is fetched, about 3 GB; stop with Ctrl-C, and \
    `cargo xtask setup --cpu` takes the one without, 530 MB";

/// The step that fetches libtorch.
pub(crate) fn step(project: &Project, cuda: Option<bool>) -> SetupStep {
    let cuda = wants_cuda(project, cuda);
    let (variant, lock) = match cuda {
        true => ("CUDA", "tools/xtask/python/libtorch-cuda.txt"),
        false => ("CPU", "tools/xtask/python/libtorch.txt"),
    };
    let title = format!("libtorch {VERSION} ({variant})");
    let stamp =
        Stamp::new(project, "libtorch").with("variant", variant).with_content(project, lock);
    SetupStep::new(title, stamp, project.tools("libtorch/lib"), move |project, step| {
        let folder = project.temporary("libtorch-")?;
        let temporary = folder.path();
        let (wheels, pip_folder) = (temporary.join("wheels"), temporary.join("pip"));
        fs::create_dir_all(&pip_folder)
            .map_err(|error| Failure::of_file("make", &pip_folder, &error))?;
        let mut pip = pip(project, &project.python("python"), "download", lock);
        pip.args(["--no-deps", "--python-version", WHEELS_FOR, "-d"])
            .arg(&wheels)
            .env("TMPDIR", &pip_folder);
        process::run_watched(project, step, "fetching libtorch", &mut pip, "libtorch", |_| {
            fetched(size(&pip_folder).max(size(&wheels)), FETCHED[usize::from(cuda)])
        })?;
        let wheels_size = size(&wheels);

        let unpacked = temporary.join("torch");
        let mut unpack = project.command(project.python("python"));
        unpack.args(["-c", UNPACK, variant]).args([&wheels, &unpacked]);
        process::run_watched(project, step, "unpacking libtorch", &mut unpack, "libtorch", |_| {
            format!("unpacking, {}", bytes(size(&unpacked)))
        })?;
        let links = temporary.join("libtorch");
        link(&unpacked, &links, cuda)
            .and_then(|()| replace(&unpacked, &project.tools("torch")))
            .and_then(|()| replace(&links, &project.tools("libtorch")))
            .map_err(|error| {
                Failure::of_file("put in place", &project.tools("libtorch"), &error)
            })?;
        Ok(bytes(wheels_size))
    })
    .making(&["torch", "libtorch"])
    // The time with CUDA is estimated from the bytes; it was not measured.
    .taking(if cuda { 90 } else { 15 }, if cuda { 6_000 } else { 600 })
}

/// Unpacks wheels; the CUDA part of torch, two thirds of it, is left out if nothing links it.
const UNPACK: &str = "\
import pathlib, sys, zipfile
variant, wheels, place = sys.argv[1:]
unused = ('libtorch_cuda', 'libtorch_nvshmem', 'libc10_cuda', 'libcaffe2_nvrtc', 'libtorch_python')
for wheel in sorted(pathlib.Path(wheels).glob('*.whl')):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if variant == 'CPU' and any('libtorch_cuda' in name for name in names):
            names = [n for n in names if not n.rpartition('/')[2].startswith(unused)]
        archive.extractall(place, names)
";

/// True for libtorch with CUDA: what the user chose; else what the existing libtorch has; else whether the machine has
/// CUDA.
pub(super) fn wants_cuda(project: &Project, cuda: Option<bool>) -> bool {
    cuda.unwrap_or_else(|| {
        let stamp = fs::read_to_string(project.tools("stamps/libtorch")).unwrap_or_default();
        if stamp.contains("variant C") {
            return stamp.contains("variant CUDA");
        }
        cfg!(target_os = "linux")
            && process::ask(project.command("nvidia-smi").arg("-L"))
                .is_some_and(|text| text.contains("GPU"))
    })
}

/// Makes the folder for `LIBTORCH`. `unpacked` and `links` will have the same parent, as `torch` and `libtorch`.
fn link(unpacked: &Path, links: &Path, cuda: bool) -> io::Result<()> {
    let library = unpacked.join("torch/lib");
    // On other systems than Linux the wheel is a CPU build; with CUDA the whole wheel is needed.
    if cuda || !library.join("libtorch_cpu.so").exists() {
        return symlink("torch/torch", links);
    }
    fs::create_dir_all(links.join("lib"))?;
    symlink("../torch/torch/include", links.join("include"))?;
    let mut names = vec!["libc10.so".to_owned(), "libtorch_cpu.so".to_owned()];
    names.extend(
        fs::read_dir(&library)?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("libgomp")),
    );
    for name in &names {
        symlink(format!("../../torch/torch/lib/{name}"), links.join("lib").join(name))?;
    }
    // The bindings link `gomp`: the wheel's copy is used, or two OpenMP runtimes would compete for the cores.
    if let Some(gomp) = names.iter().find(|name| name.starts_with("libgomp")) {
        symlink(gomp, links.join("lib/libgomp.so"))?;
    }
    // The wheel's own libtorch.so requires CUDA; this linker script does not.
    fs::write(links.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::remove;

    #[test]
    fn the_links_lead_to_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let (torch, links) = (folder.path().join("torch"), folder.path().join("libtorch"));
        fs::create_dir_all(torch.join("torch/lib")).unwrap();
        fs::create_dir_all(torch.join("torch/include")).unwrap();
        for name in ["libc10.so", "libtorch_cpu.so", "libgomp.so.1", "libtorch.so"] {
            fs::write(torch.join("torch/lib").join(name), name).unwrap();
        }
        link(&torch, &links, false).unwrap();
        let read = |name: &str| fs::read_to_string(links.join("lib").join(name)).unwrap();
        assert_eq!(read("libc10.so"), "libc10.so");
        assert_eq!(read("libgomp.so"), "libgomp.so.1");
        assert_eq!(read("libtorch.so"), "INPUT(-ltorch_cpu)\n");
        assert!(links.join("include").is_dir());
        remove(&links).unwrap();
        link(&torch, &links, true).unwrap();
        assert_eq!(read("libtorch.so"), "libtorch.so", "with CUDA it is the wheel itself");
    }

    #[test]
    fn both_locks_hold_the_version_that_tch_wants() {
        let project = Project::find();
        for name in ["libtorch", "libtorch-cuda"] {
            let path = project.path(&format!("tools/xtask/python/{name}.txt"));
            let lock = fs::read_to_string(path).unwrap();
            assert!(lock.lines().any(|line| line == format!("torch=={VERSION} \\")), "{name}");
        }
    }

    #[test]
    fn a_choice_stays() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let stamp = |variant: &str| Stamp::new(&project, "libtorch").with("variant", variant);
        stamp("CUDA").keep(&project).unwrap();
        assert!(wants_cuda(&project, None));
        assert!(!wants_cuda(&project, Some(false)));
        stamp("CPU").keep(&project).unwrap();
        assert!(!wants_cuda(&project, None));
        assert!(wants_cuda(&project, Some(true)));
    }
}

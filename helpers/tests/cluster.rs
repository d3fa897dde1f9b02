//! A search on a Dask cluster finds what it finds on one machine, to the last digit, also where a worker is killed.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use helpers::architectures::DenseConfig;
use helpers::prelude::*;
use helpers::tuning::Launcher;

/// A scheduler or a worker; it ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn dask(folder: &Path, words: &[&str]) -> Process {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join(".tools/python/bin/python");
    assert!(python.exists(), "{} is not there; run `cargo xtask setup` first", python.display());
    let child = Command::new(python)
        .arg("-m")
        .args(words)
        .arg("--no-dashboard")
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Process(child.unwrap())
}

fn search(folder: &Path, launcher: Launcher) -> GridSearchCv {
    GridSearchCv {
        param_grid: ParameterGrid::new()
            .parameter("dropout", [0.0, 0.3])
            .parameter("kernel_initializer", ["he_normal", "zeros"]),
        network: Network::Dense(DenseConfig { hidden: vec![16], ..DenseConfig::default() }),
        fit: FitConfig { epochs: 2, batch_size: 64, ..FitConfig::default() },
        cv: 3.into(),
        launcher,
        refit: false,
        verbose: 0,
        trials: folder.join("trials"),
        ..GridSearchCv::default()
    }
}

#[test]
fn a_cluster_finds_what_one_machine_finds() {
    // SAFETY: the only test of this program, and no other thread runs yet.
    unsafe { std::env::set_var("TRIAL_PROGRAM", env!("CARGO_BIN_EXE_trial")) };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(600, 1).unwrap();
    let split = dataset.split(SplitConfig { random_state: 1, ..SplitConfig::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| -> PathBuf {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        place
    };
    let local = search(&place("local"), Launcher::Local).fit(&split).unwrap();

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let address = format!("tcp://127.0.0.1:{port}");
    let options = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", &port];
    let _scheduler = dask(folder.path(), &options);
    let options = ["distributed.cli.dask_worker", &address, "--nthreads", "1", "--no-nanny"];
    let [doomed, _worker] = [(); 2].map(|()| dask(folder.path(), &options));
    // Once the first results are there.
    let trials = place("cluster");
    let kill = std::thread::spawn({
        let results = trials.join("trials");
        move || {
            let until = Instant::now() + Duration::from_secs(120);
            while Instant::now() < until
                && std::fs::read_dir(&results).map_or(0, |entries| entries.count()) < 2
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(doomed);
        }
    });
    let launcher = Launcher::Dask(address);
    let found = search(&trials, launcher.clone()).fit(&split).unwrap();
    kill.join().unwrap();
    assert_eq!(found.cv_results.split_test_score, local.cv_results.split_test_score);
    assert!(found.cv_results.failures.is_empty());
    let losses = |found: &helpers::tuning::SearchResults| -> Vec<u64> {
        let histories = found.histories.iter().flatten().flatten();
        let epochs = histories.flat_map(|history| &history.epochs);
        epochs.map(|epoch| epoch.val_loss.to_bits()).collect()
    };
    assert_eq!(losses(&found), losses(&local));
    // Once more: nothing is left to do.
    let again = search(&trials, launcher).fit(&split).unwrap();
    assert_eq!(again.trials_kept, 12);
}

const ADDRESS: &str = "CLUSTER_WITHOUT_WORKERS";

/// The process that the next test starts and interrupts; alone it does nothing.
#[test]
fn search_that_waits_for_workers() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    // SAFETY: this process runs no other test; the call takes two numbers.
    unsafe {
        std::env::set_var("TRIAL_PROGRAM", env!("CARGO_BIN_EXE_trial"));
        libc::signal(libc::SIGINT, libc::SIG_DFL);
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let split = Dataset::load(sample).unwrap().split(SplitConfig::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let launcher = Launcher::Dask(address);
    let text = search(folder.path(), launcher).fit(&split).unwrap_err().to_string();
    assert_eq!(
        text,
        "waiting for the cluster was interrupted; run the cell again once it has workers"
    );
}

#[test]
fn waiting_for_workers_can_be_interrupted() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let options = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", &port];
    let _scheduler = dask(folder.path(), &options);
    let mut search = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::search_that_waits_for_workers", "--nocapture"])
        .env(ADDRESS, format!("tcp://127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(search.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("waiting for workers of the Dask cluster")));
    // As in a kernel, this process alone gets the signal.
    let child = search.id().to_string();
    assert!(Command::new("kill").args(["-INT", &child]).status().unwrap().success());
    said.for_each(drop);
    assert!(search.wait().unwrap().success());
}

#[test]
fn a_cluster_that_is_not_there_is_one_sentence() {
    // SAFETY: as above; tests run one after the other.
    unsafe { std::env::set_var("TRIAL_PROGRAM", env!("CARGO_BIN_EXE_trial")) };
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let split = Dataset::load(sample).unwrap().split(SplitConfig::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Launcher::Dask("tcp://127.0.0.1:1".to_owned());
    let text = search(folder.path(), nowhere).fit(&split).unwrap_err().to_string();
    let start = "`launcher` must be a Dask cluster that answers, got none: no Dask scheduler answers at tcp://127.0.0.1:1 (";
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("`Launcher::Local` runs the trials on this machine"), "{text}");
}

//! `cargo xtask lab`: JupyterLab on the notebooks.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::notebooks::jupyter;
use crate::progress::{Progress, Step, say};
use crate::project::Project;
use crate::setup;

/// Sets up, fetches the data and replaces this process by JupyterLab; returns only if it cannot start.
pub(crate) fn run(project: &Project, options: &[OsString]) -> Result<(), Failure> {
    let mut lab = command(project, options);
    if options.iter().any(|option| QUESTIONS.iter().any(|question| option == question)) {
        if !project.python("jupyter").exists() {
            say("JupyterLab's own options can be shown once `cargo xtask setup` has installed it");
            return Ok(());
        }
    } else {
        let steps = setup::steps(project, None)?;
        let mut progress = Progress::new(steps.len() + 1);
        setup::run(project, steps, &mut progress)?;
        if let Some(note) = fetch_data(project, progress.step("Data")) {
            say(&note);
        }
        say("JupyterLab starts; Ctrl-C ends it. If no page opens, open the address that it prints");
    }
    let error = lab.stdin(Stdio::inherit()).exec();
    Err(Failure::new(format!("cannot start JupyterLab: {error}"))
        .advice("run `cargo xtask setup`, then try again"))
}

/// Fetches the data that notebooks read by default. Returns a note if that fails: notebooks can be opened without it.
fn fetch_data(project: &Project, step: Step) -> Option<String> {
    let failure = fashion_mnist::fetch(project, step).err()?;
    Some(format!(
        "note: {failure}\n  notebooks need `data` in their parameters until then: \"../data/sample\" holds 4,000 images"
    ))
}

/// Options that only print something, so that neither a server nor a set-up is needed.
const QUESTIONS: [&str; 4] = ["--help", "-h", "--help-all", "--version"];

/// JupyterLab that only listens on this machine and requires its token, which is in the address that it opens and
/// prints.
fn command(project: &Project, options: &[OsString]) -> Command {
    let mut lab = jupyter(project, "jupyter");
    lab.args(["lab", "--notebook-dir", "notebooks", "--ServerApp.ip=127.0.0.1"]);
    // The start page is the overview; a user's option for another file comes later and has precedence.
    lab.arg("--LabApp.default_url=/lab/tree/README.md");
    // JupyterLab opens its address itself, not a file that redirects to it: a browser under Windows (WSL) or from a
    // snap cannot read that file.
    lab.arg("--ServerApp.use_redirect_file=False");
    // Jupyter refuses to run as root, but a container often has no other user.
    lab.arg("--allow-root").args(options);
    // With an empty token Jupyter would let everyone in.
    if env::var_os("JUPYTER_TOKEN").is_some_and(|token| token.is_empty()) {
        lab.env_remove("JUPYTER_TOKEN");
    }
    lab
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::process::Child;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use serde_json::Value;

    use super::*;

    /// Ends the server when the test ends.
    struct Server(Child);

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// The information that a server writes about itself.
    fn told(runtime: &Path, server: &mut Server) -> Value {
        let until = Instant::now() + Duration::from_secs(300);
        while Instant::now() < until {
            assert!(server.0.try_wait().unwrap().is_none(), "JupyterLab ended");
            let files = crate::files::files(runtime);
            let file = files.iter().find(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("jpserver-") && name.ends_with(".json")
            });
            let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
            if let Ok(value) = serde_json::from_str(&text) {
                return value;
            }
            sleep(Duration::from_millis(200));
        }
        panic!("JupyterLab says nothing for five minutes");
    }

    /// The first line of the answer to a request for `path`.
    fn status(port: u16, path: &str) -> String {
        // The server writes its information shortly before it listens.
        let until = Instant::now() + Duration::from_secs(120);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < until => sleep(Duration::from_millis(200)),
                Err(error) => panic!("nobody listens: {error}"),
            }
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn data_that_cannot_be_fetched_is_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let step = || Step::new("Data".to_owned());
        fs::create_dir(project.path("data")).unwrap();
        fs::write(project.path("data/X.npy"), "mine").unwrap();
        let note = fetch_data(&project, step()).unwrap();
        assert!(note.starts_with("note: data/X.npy is not Fashion-MNIST's"), "{note}");
        assert!(note.ends_with("\"../data/sample\" holds 4,000 images"), "{note}");
        fs::write(project.path("data/y.npy"), "mine").unwrap();
        assert_eq!(fetch_data(&project, step()), None, "own data is used as it is");
    }

    #[test]
    fn the_lab_lets_nobody_in_without_its_token() {
        let project = Project::find();
        let python = project.python("jupyter");
        assert!(python.exists(), "{} is not there: cargo xtask setup", python.display());
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = ["--no-browser".into(), format!("--ServerApp.port={port}").into()];
        let mut lab = command(&project, &options);
        for variable in
            ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
        {
            lab.env(variable, folder.path());
        }
        lab.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Server(lab.spawn().unwrap());
        let told = told(folder.path(), &mut server);
        assert_eq!(told["hostname"], "127.0.0.1");
        let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
        let token = told["token"].as_str().unwrap();
        assert!(token.len() >= 32, "a token of {} characters", token.len());
        for path in ["/api/contents", "/api/kernels", "/api/terminals"] {
            assert!(status(port, path).contains(" 403 "), "{path}: {}", status(port, path));
            let wrong = status(port, &format!("{path}?token=wrong"));
            assert!(wrong.contains(" 403 "), "{path}: {wrong}");
        }
        assert!(status(port, "/lab").contains(" 302 "), "to the page that asks for the token");
        let inside = status(port, &format!("/api/contents?token={token}"));
        assert!(inside.contains(" 200 "), "{inside}");
        // The server does not listen on other addresses of this machine.
        #[cfg(target_os = "linux")]
        assert!(TcpStream::connect(("127.0.0.2", port)).is_err());
    }
}

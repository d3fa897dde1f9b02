//! The command line: what there is, what it means, and how it is read.

/// A command and all that its help says.
pub(crate) struct CommandLine {
    pub(crate) name: &'static str,
    help: &'static str,
    /// What stands for further words, if they are allowed.
    words: Option<&'static str>,
    flags: &'static [Flag],
}

struct Flag {
    name: &'static str,
    /// The names of the values that follow it.
    values: &'static [&'static str],
    help: &'static str,
}

const QUICK: Flag = Flag {
    name: "--quick",
    values: &[],
    help: "a small sample and few epochs, results in export/quick; minutes",
};
const RESUME: Flag = Flag {
    name: "--resume",
    values: &[],
    help: "skip the notebooks whose inputs have not changed since their last good run",
};
const CUDA: Flag = Flag {
    name: "--cuda",
    values: &[],
    help: "libtorch with CUDA (the default where nvidia-smi answers)",
};
const CPU: Flag =
    Flag { name: "--cpu", values: &[], help: "libtorch without CUDA, whatever the machine has" };

/// All commands, in the order in which the help lists them.
pub(crate) const COMMANDS: [CommandLine; 11] = [
    CommandLine {
        name: "submission",
        help: "set up, fetch the data, run all notebooks in order, write the HTML submission to export/",
        words: None,
        flags: &[QUICK, RESUME],
    },
    CommandLine {
        name: "test",
        help: "set up, then run every test: format, lints, Rust, Python, quick notebooks (on other data, and killed, too), \
               pages in a browser",
        words: None,
        flags: &[
            Flag {
                name: "--no-browser",
                values: &[],
                help: "leave out what needs a browser, and say so at the end",
            },
            Flag {
                name: "--kills",
                values: &["N"],
                help: "how often the second quick submission is killed before its results are compared with the \
                       first's, the last time at its pages; 3 unless told otherwise, 0 leaves it out",
            },
        ],
    },
    CommandLine {
        name: "setup",
        help: "make everything that notebooks and tests need, in .tools/; skips what is up to date",
        words: None,
        flags: &[CUDA, CPU],
    },
    CommandLine {
        name: "doctor",
        help: "say what is there, in which version, and what to do about the rest; changes nothing",
        words: None,
        flags: &[],
    },
    CommandLine {
        name: "data",
        help: "fetch Fashion-MNIST as data/X.npy and data/y.npy; somebody's own files are left alone",
        words: None,
        flags: &[Flag {
            name: "--sample",
            values: &[],
            help: "also make data/sample again, the 4,000 images that the repository holds",
        }],
    },
    CommandLine {
        name: "lab",
        help: "set up, then open JupyterLab on the notebooks",
        words: Some("JUPYTER OPTION"),
        flags: &[],
    },
    CommandLine {
        name: "run",
        help: "run notebooks headless; without a name all of them. `06` is enough for 06_cnn_training",
        words: Some("NOTEBOOK"),
        flags: &[
            Flag {
                name: "-p",
                values: &["NAME", "VALUE"],
                help: "set a parameter, in those of the notebooks that have it; may be repeated",
            },
            QUICK,
            RESUME,
        ],
    },
    CommandLine {
        name: "export",
        help: "write the HTML pages anew from the executed notebooks in export/",
        words: None,
        flags: &[Flag { name: "--quick", values: &[], help: "those in export/quick" }],
    },
    CommandLine {
        name: "bench",
        help: "set up the peers, then measure helpers against scikit-learn, Keras and PyTorch; to export/bench.json",
        words: None,
        flags: &[
            Flag {
                name: "--rounds",
                values: &["N"],
                help: "how often each side runs, in turn with the others; 3 unless told otherwise",
            },
            Flag {
                name: "--only",
                values: &["PART"],
                help: "one part alone: ceilings, grid_search, dense, cnn, autoencoder, transfer, features, \
                       time_to_accuracy, cells, opening or growth",
            },
            Flag {
                name: "--without",
                values: &["WORD"],
                help: "leave out the peers of a network that have this in their name: `compiled`, which takes minutes",
            },
            Flag {
                name: "--stock",
                values: &[],
                help: "`cells` also with evcxr_jupyter as `cargo install` gives it: minutes a round",
            },
            QUICK,
        ],
    },
    CommandLine {
        name: "clean",
        help: "remove what runs leave behind: logs, half-run notebooks, export/quick, sessions of kernels, and what \
               trainings and searches would go on from (export/checkpoints, export/trials)",
        words: None,
        flags: &[Flag {
            name: "--all",
            values: &[],
            help: "everything that the project made: .tools/, target/, the fetched data; also export/checkpoints and \
                   export/trials",
        }],
    },
    CommandLine { name: "help", help: "say this", words: Some("COMMAND"), flags: &[] },
];

/// A command line that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) command: &'static str,
    flags: Vec<&'static str>,
    /// Flags with one value, in the order given.
    pub(crate) options: Vec<(&'static str, String)>,
    /// Flags with a name and a value.
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) words: Vec<String>,
}

impl Given {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }
}

/// Reads the words after `cargo xtask`.
///
/// # Errors
/// A text for the person: the help they asked for, or what is wrong.
pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Result<Given, Help> {
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_else(|| "help".to_owned());
    if ["help", "-h", "--help"].contains(&name.as_str()) {
        return Err(match words.next().and_then(|name| find(&name)) {
            Some(command) => Help::Wanted(help_of(command)),
            None => Help::Wanted(help()),
        });
    }
    let Some(command) = find(&name) else {
        let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        return Err(Help::Wrong(format!(
            "there is no command `{name}`; there are {}",
            names.join(", ")
        )));
    };
    let mut given = Given { command: command.name, ..Given::default() };
    let forwards = command.name == "lab";
    while let Some(word) = words.next() {
        if !forwards && (word == "-h" || word == "--help") {
            return Err(Help::Wanted(help_of(command)));
        }
        if let Some(flag) = command.flags.iter().find(|flag| flag.name == word) {
            let values: Vec<String> = words.by_ref().take(flag.values.len()).collect();
            if values.len() < flag.values.len() {
                return Err(Help::Wrong(format!(
                    "`{word}` wants {} after it: {word} {}",
                    flag.values.len(),
                    flag.values.join(" ")
                )));
            }
            match &values[..] {
                [name, value] => given.parameters.push((name.clone(), value.clone())),
                [value] => given.options.push((flag.name, value.clone())),
                _ => given.flags.push(flag.name),
            }
        } else if forwards || (command.words.is_some() && !word.starts_with('-')) {
            given.words.push(word);
        } else {
            return Err(Help::Wrong(format!(
                "`cargo xtask {name}` does not know `{word}`\n\n{}",
                help_of(command)
            )));
        }
    }
    Ok(given)
}

/// Why a command line leads to no command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Help {
    /// The person asked.
    Wanted(String),
    /// The command line is wrong.
    Wrong(String),
}

fn find(name: &str) -> Option<&'static CommandLine> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn help() -> String {
    let mut text = "usage: cargo xtask COMMAND\n\n".to_owned();
    for command in &COMMANDS {
        text.push_str(&format!("  {:<11} {}\n", command.name, command.help));
    }
    text.push_str("\n`cargo xtask help COMMAND` lists the options of a command.");
    text
}

fn help_of(command: &CommandLine) -> String {
    let words = command.words.map(|words| format!(" [{words}...]")).unwrap_or_default();
    let options = if command.flags.is_empty() { "" } else { " [OPTION...]" };
    let mut text =
        format!("usage: cargo xtask {}{words}{options}\n\n{}", command.name, command.help);
    if !command.flags.is_empty() {
        text.push('\n');
    }
    for flag in command.flags {
        let head = [&[flag.name], flag.values].concat().join(" ");
        text.push_str(&format!("\n  {head:<14} {}", flag.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<Given, Help> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn parameters_take_two_words_and_may_be_repeated() {
        let given = given("run 06 -p epochs 3 -p seed 1 --quick 07").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(given.parameters, [pair("epochs", "3"), pair("seed", "1")]);
        assert_eq!(given.words, ["06", "07"]);
        assert!(given.has("--quick") && !given.has("--resume"));
    }

    #[test]
    fn an_option_takes_one_word() {
        let given = given("bench --rounds 5 --only grid_search --quick").unwrap();
        let options = [("--rounds", "5".to_owned()), ("--only", "grid_search".to_owned())];
        assert_eq!(given.options, options);
        assert!(given.has("--quick") && given.words.is_empty());
    }

    #[test]
    fn a_value_may_look_like_a_flag() {
        let given = given("run -p noise -0.5").unwrap();
        assert_eq!(given.parameters[0].1, "-0.5");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |line: &str| match given(line) {
            Err(Help::Wrong(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(wrong("run -p epochs").contains("`-p` wants 2 after it: -p NAME VALUE"));
        assert!(
            wrong("tset").starts_with("there is no command `tset`; there are submission, test,")
        );
        assert!(wrong("test --quick").starts_with("`cargo xtask test` does not know `--quick`"));
        assert!(wrong("setup now").contains("does not know `now`"));
        assert!(wrong("test --kills").contains("`--kills` wants 1 after it: --kills N"));
        assert!(wrong("bench --rounds").contains("`--rounds` wants 1 after it: --rounds N"));
        assert!(wrong("run -p").contains("`-p` wants 2 after it"));
        assert!(wrong("clean --everything").contains("does not know `--everything`"));
    }

    #[test]
    fn the_help_of_clean_names_what_cannot_be_made_again_in_a_moment() {
        let Err(Help::Wanted(text)) = given("help clean") else { panic!("no help") };
        for folder in ["export/checkpoints", "export/trials", "export/quick"] {
            assert!(text.contains(folder), "{text}");
        }
    }

    #[test]
    fn every_command_has_help() {
        for command in &COMMANDS {
            let text = help_of(command);
            assert!(
                matches!(given(&format!("help {}", command.name)), Err(Help::Wanted(t)) if t == text)
            );
        }
        assert!(matches!(given(""), Err(Help::Wanted(text)) if text.contains("submission")));
    }
}

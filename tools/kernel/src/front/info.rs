//! The kernel's information about itself.

use serde_json::{Value, json};

use super::wire::PROTOCOL;

/// What the help menu offers. A page that comes over HTTP opens no files, so there is none of this machine.
const LINKS: [(&str, &str); 5] = [
    ("The Rust book", "https://doc.rust-lang.org/book/"),
    ("Rust's standard library", "https://doc.rust-lang.org/std/"),
    (
        "evcxr, Rust cell by cell",
        "https://github.com/evcxr/evcxr/blob/main/evcxr_jupyter/README.md",
    ),
    ("ndarray, arrays", "https://docs.rs/ndarray"),
    ("tch, PyTorch in Rust", "https://docs.rs/tch"),
];

/// The content of a `kernel_info_reply`.
///
/// JupyterLab and nbconvert highlight by the language's name, VS Code by its extension; `text/x-rustsrc` is how CodeMirror
/// knows Rust, and `rust` how Pygments does.
pub(crate) fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "notebook-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "banner": "Rust in notebooks: evcxr, with failures that fail and output that lives",
        "debugger": false,
        "supported_features": [],
        "language_info": {
            "name": "rust",
            "version": env!("CARGO_PKG_RUST_VERSION"),
            "mimetype": "text/x-rustsrc",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "help_links": LINKS.map(|(text, url)| json!({ "text": text, "url": url })),
    })
}

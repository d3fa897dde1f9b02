"""Cells that fail, each in a different way, for the table of clients."""

# name: the cell, the error's name, and a word of its text
FAILURES = {
    "panic": ('let x: Vec<i32> = vec![];\nprintln!("before");\nx[3]', "Panic", "index out of bounds"),
    "expect": ('let m: i32 = "x".parse().expect("a number");', "Panic", "a number"),
    "question mark": ('let text = std::fs::read_to_string("missing.npy")?;\ntext.len()', "Error", "No such file"),
    "own error": ('Err::<(), _>("of my own")?;', "Error", "of my own"),
    "question mark in the middle of a line": (
        'print!("loading ... ");\nlet n = std::fs::read("/nowhere.npy")?.len();',
        "Error",
        "No such file",
    ),
    "compile error": ("let y: i32 = nowhere;", "CompileError", "nowhere"),
    "late compile error": ("let y: i32 = 1;\nlet z: i32 = y + missing;", "CompileError", "(line 2)"),
    "bracket": ('let a = 1;\nprintln!("{a}";', "SyntaxError", "never closed"),
    "unknown command": (":nonsense", "CompileError", "Unrecognised command"),
    "exit": ("std::process::exit(0)", "Exited", "exit code 0"),
    "abort": ("std::process::abort()", "Aborted", "signal 6"),
    "stack overflow": (
        "fn deep(n: u64) -> u64 { let a = [n; 512]; if n == u64::MAX { 0 } else { deep(n + 1) + a[(n % 7) as usize] } }\n"
        "deep(0)",
        "StackOverflow",
        "the stack overflowed",
    ),
    "out of memory": ("Vec::<u8>::with_capacity(1 << 46).len()", "OutOfMemory", "memory allocation of"),
    "killed": (
        'std::process::Command::new("kill").arg("-9").arg(std::process::id().to_string()).status();\n'
        "std::thread::sleep(std::time::Duration::from_secs(30));",
        "Killed",
        "memory was full",
    ),
}
# Kills evcxr itself, the grandparent of the process that runs the cell.
EVCXR_DIES = (
    "let stat = std::fs::read_to_string(format!(\"/proc/{}/stat\", std::os::unix::process::parent_id()))?;\n"
    "let evcxr = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1).unwrap_or_default().to_owned();\n"
    'std::process::Command::new("kill").arg("-9").arg(evcxr).status();\n'
    "std::thread::sleep(std::time::Duration::from_secs(30));"
)
# With the failure that no cell survives, for programs that run a notebook on a kernel of their own.
ALL_FAILURES = {"evcxr dies": (EVCXR_DIES, "DeadKernel", "all variables are lost"), **FAILURES}

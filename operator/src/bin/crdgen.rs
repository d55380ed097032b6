//! Writes the files that are generated from the code, or checks them.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use sentinel_operator::generate;

/// Writes the files that are generated from the code.
#[derive(Debug, Parser)]
struct Args {
    /// Root of the repository.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Write nothing; fail if a file differs.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut code = ExitCode::SUCCESS;
    for file in generate::files()? {
        let path = args.root.join(file.path);
        if fs::read_to_string(&path).is_ok_and(|content| content == file.content) {
            continue;
        }
        if args.check {
            println!("{} is out of step: run cargo run -p sentinel-operator --bin crdgen", file.path);
            code = ExitCode::FAILURE;
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&path, file.content).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", file.path);
    }
    Ok(code)
}

//! Runs other programs, with errors that show what they said.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs to completion and returns standard output; on failure the error holds the command and its last words.
pub fn output(command: &mut Command) -> Result<String> {
    let result = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    checked(command, &result)
}

/// As [`output`], with `input` on standard input.
pub fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes()).with_context(|| format!("{} closed its input", shown(command)))?;
    }
    let result = child.wait_with_output().with_context(|| format!("cannot wait for {}", shown(command)))?;
    checked(command, &result)
}

/// Whether the command runs and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The path of a program, looked up in `PATH` and in the system folders that a plain user's `PATH` lacks.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn checked(command: &Command, result: &Output) -> Result<String> {
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let said = if result.stderr.is_empty() { &result.stdout } else { &result.stderr };
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n  ");
    bail!("{} failed ({})\n  {last}", shown(command), result.status)
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    // Scripts given as an argument would fill the screen.
    if text.chars().count() > 240 { text.chars().take(240).chain("…".chars()).collect() } else { text }
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}: is it installed?", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_show_the_command_and_its_words() {
        let error = output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("no luck") && error.contains('3'), "{error}");
    }

    #[test]
    fn input_reaches_the_command() {
        assert_eq!(output_with_input(&mut Command::new("cat"), "hello").unwrap(), "hello");
    }
}

//! The report as a file that programs read.

use std::fs;
use std::io;
use std::path::Path;

use super::{Report, VERSION};

pub(crate) fn write(report: &Report, path: &Path) -> io::Result<()> {
    fs::write(path, serde_json::to_string_pretty(report)?)
}

/// Reads an earlier report.
///
/// # Errors
///
/// If it cannot be read, is no report, or one of a version that this program does not know.
pub(crate) fn read(path: &Path) -> io::Result<Report> {
    let explain =
        |what: &dyn std::fmt::Display| io::Error::other(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| explain(&error))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| explain(&format_args!("this is no JSON: {error}")))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(explain(&format_args!(
                "this is a report of version {version}, and only version {VERSION} is known"
            )));
        }
        None => return Err(explain(&"this is no report of a comparison")),
    }
    serde_json::from_value(value)
        .map_err(|error| explain(&format_args!("this report is damaged: {error}")))
}

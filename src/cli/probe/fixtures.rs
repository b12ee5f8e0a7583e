//! Files for `tests/fixtures/`.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// Writes one file per exchange, such as `03-live_inputs.create.json`. Returns their number.
pub(super) fn write(
    folder: &Path,
    tape: impl Iterator<Item = (&'static str, Value)>,
) -> anyhow::Result<usize> {
    let mut files = 0;
    for (name, exchange) in tape {
        files += 1;
        let path = folder.join(format!("{files:02}-{name}.json"));
        let text = serde_json::to_string_pretty(&exchange)?;
        std::fs::write(&path, text + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(files)
}

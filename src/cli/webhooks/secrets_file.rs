//! The file to which `webhooks register` writes secrets, as environment variables.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

const LIVE: &str = "CLOUDFLARE_LIVE_WEBHOOK_SECRET";
const STREAM: &str = "CLOUDFLARE_STREAM_WEBHOOK_SECRET";

pub(super) struct SecretsFile {
    path: PathBuf,
    before: Option<Secrets>,
    pub(super) secrets: Secrets,
}

#[derive(Clone, Default)]
pub(super) struct Secrets {
    pub(super) live: Option<SecretString>,
    pub(super) stream: Option<SecretString>,
}

impl SecretsFile {
    /// Reads an existing file, and checks that it can be written. Rejects a file with other contents.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            bail!(
                "{} is a folder; name a file with --secrets-file",
                path.display()
            );
        }
        let before = match std::fs::read_to_string(path) {
            Ok(text) => Some(Secrets::read(&text, path)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        let file = Self {
            path: path.to_owned(),
            secrets: before.clone().unwrap_or_default(),
            before,
        };
        file.write_draft("")?;
        std::fs::remove_file(file.draft())?;
        Ok(file)
    }

    pub(super) fn save(&self) -> anyhow::Result<()> {
        self.put(&self.secrets)
    }

    pub(super) fn restore(&self) -> anyhow::Result<()> {
        match &self.before {
            Some(before) if !before.is_empty() => self.put(before),
            _ if self.path.exists() => std::fs::remove_file(&self.path)
                .with_context(|| format!("{} cannot be removed", self.path.display())),
            _ => Ok(()),
        }
    }

    fn put(&self, secrets: &Secrets) -> anyhow::Result<()> {
        self.write_draft(&secrets.lines())?;
        let moved = std::fs::rename(self.draft(), &self.path);
        self.without_draft(moved)
    }

    fn without_draft(&self, done: std::io::Result<()>) -> anyhow::Result<()> {
        if done.is_err() {
            // The original error is reported.
            let _ = std::fs::remove_file(self.draft());
        }
        done.with_context(|| self.refused())
    }

    fn write_draft(&self, text: &str) -> anyhow::Result<()> {
        let draft = self.draft();
        if draft.exists() {
            std::fs::remove_file(&draft).with_context(|| self.refused())?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .with_context(|| self.refused())?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all());
        self.without_draft(written)
    }

    fn draft(&self) -> PathBuf {
        let mut draft = self.path.clone().into_os_string();
        draft.push(".new");
        draft.into()
    }

    fn refused(&self) -> String {
        format!("the secrets cannot be written to {}", self.path.display())
    }
}

impl Secrets {
    fn read(text: &str, path: &Path) -> anyhow::Result<Self> {
        let mut secrets = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match line.trim().split_once('=') {
                Some((LIVE, value)) => secrets.live = Some(value.into()),
                Some((STREAM, value)) => secrets.stream = Some(value.into()),
                _ => bail!(
                    "{} contains more than the secrets of an earlier run; name another file with --secrets-file",
                    path.display()
                ),
            }
        }
        Ok(secrets)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_none() && self.stream.is_none()
    }

    fn lines(&self) -> String {
        [(LIVE, &self.live), (STREAM, &self.stream)]
            .into_iter()
            .filter_map(|(name, secret)| {
                Some(format!("{name}={}\n", secret.as_ref()?.expose_secret()))
            })
            .collect()
    }
}

//! The publish URLs of ingests that channels keep, so that a show need not read its own.

use std::collections::HashMap;

use parking_lot::Mutex;
use secrecy::SecretString;

/// By platform and ingest: the version of the key, and the URL.
#[derive(Debug, Default)]
pub(in crate::actors) struct PublishUrls(Mutex<HashMap<(String, String), (u32, SecretString)>>);

impl PublishUrls {
    pub(super) fn get(&self, platform: &str, ingest: &str, version: u32) -> Option<SecretString> {
        let urls = self.0.lock();
        let (known, url) = urls.get(&(platform.to_owned(), ingest.to_owned()))?;
        (*known == version).then(|| url.clone())
    }

    pub(in crate::actors) fn keep(
        &self,
        platform: &str,
        ingest: &str,
        version: u32,
        url: SecretString,
    ) {
        let name = (platform.to_owned(), ingest.to_owned());
        self.0.lock().insert(name, (version, url));
    }

    /// A key that this process renewed may have been renewed again by the node that has the relay now, as the same version.
    pub(in crate::actors) fn forget_all(&self) {
        self.0.lock().clear();
    }

    pub(super) fn forget(&self, platform: &str, ingest: &str) {
        let name = (platform.to_owned(), ingest.to_owned());
        self.0.lock().remove(&name);
    }
}

//! TLS of our own, with a certificate that is read again when its files change or on SIGHUP: what renews certificates
//! writes files, and a restart would hang up on everybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};

/// Between two looks at the files.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// The certificate that is shown to whoever connects.
#[derive(Debug)]
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

/// When the two files were last written.
type Written = [Option<SystemTime>; 2];

impl Certificate {
    /// Reads it: a chain and its key, in PEM.
    pub(super) fn read(chain: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(load(chain, key)?)),
            chain: chain.to_owned(),
            key: key.to_owned(),
        }))
    }

    /// What serves with it.
    pub(super) fn server(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(versions
            .with_no_client_auth()
            .with_cert_resolver(self.clone()))
    }

    /// Reads it again whenever its files have changed, or on SIGHUP, forever. One that cannot be used leaves the last one in
    /// place.
    pub(super) async fn renew_forever(self: Arc<Self>) {
        let mut hang_up = signal(SignalKind::hangup()).ok();
        let mut seen = self.written();
        loop {
            let told = async {
                match &mut hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_told = tokio::time::timeout(POLL_EVERY, told).await.is_ok();
            let written = self.written();
            if is_told || written != seen {
                seen = written;
                self.renew();
            }
        }
    }

    fn renew(&self) {
        match load(&self.chain, &self.key) {
            Ok(fresh) => {
                *self.current.write() = Arc::new(fresh);
                tracing::info!("the TLS certificate was read again");
            }
            // Two files are seldom written at once: the second one's change is another poll.
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the new TLS certificate cannot be used; the last one stays"
            ),
        }
    }

    fn written(&self) -> Written {
        [&self.chain, &self.key].map(|file| {
            std::fs::metadata(file)
                .and_then(|about| about.modified())
                .ok()
        })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

fn load(chain: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| {
            format!(
                "server.tls_certificate: {} holds no PEM certificates",
                chain.display()
            )
        })?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "server.tls_certificate: {} holds no certificate",
        chain.display()
    );
    let key_of = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("server.tls_key: {} holds no PEM key", key.display()))?;
    let signs = ring::sign::any_supported_type(&key_of)
        .context("server.tls_key: this kind of key is not supported")?;
    let pair = CertifiedKey::new(certificates, signs);
    pair.keys_match()
        .context("server.tls_key is not the key of server.tls_certificate")?;
    Ok(pair)
}

//! Serves TLS. Reloads the certificate when its files change or on SIGHUP: a restart would close all connections.

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

const POLL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

type ModifiedAt = [Option<SystemTime>; 2];

impl Certificate {
    pub(super) fn read(chain: &Path, key: &Path) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(load(chain, key)?)),
            chain: chain.to_owned(),
            key: key.to_owned(),
        }))
    }

    pub(super) fn server(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let versions =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(versions
            .with_no_client_auth()
            .with_cert_resolver(self.clone()))
    }

    /// An invalid certificate is ignored.
    pub(super) async fn renew_forever(self: Arc<Self>) {
        let mut hang_up = signal(SignalKind::hangup()).ok();
        let mut seen = self.modified_at();
        loop {
            let signal = async {
                match &mut hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            let hung_up = tokio::time::timeout(POLL_EVERY, signal).await.is_ok();
            let modified_at = self.modified_at();
            if hung_up || modified_at != seen {
                seen = modified_at;
                self.renew();
            }
        }
    }

    fn renew(&self) {
        match load(&self.chain, &self.key) {
            Ok(fresh) => {
                *self.current.write() = Arc::new(fresh);
                tracing::info!("reloaded the TLS certificate");
            }
            // The two files rarely change at once: a later poll sees the second change.
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "cannot use the new TLS certificate; keeping the current one"
            ),
        }
    }

    fn modified_at(&self) -> ModifiedAt {
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

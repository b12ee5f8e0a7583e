//! `relaykeeper sandbox`: the unchanged service with simulated vendors. They may run faster than the wall clock; durations that the
//! service sends them (`timeoutSeconds`, `idleTimeout`, …) are wall-clock seconds.

mod demo;
mod fleet;
mod settings;
mod timeline;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use relaykeeper::application::{self, Application};
use relaykeeper::config::{AgoraBackend, DatabaseSettings, Settings};
use relaykeeper::sandbox::{
    Marketplace, Options, SimulatedVendors, VendorCall, VendorFault, WebhookUrls,
};
use relaykeeper::store::DatabaseLock;
use secrecy::{ExposeSecret as _, SecretString};
use strum::IntoEnumIterator as _;
use tokio::signal::unix::{SignalKind, signal};

const DATABASE: &str = "relaykeeper-sandbox.db";
const DEMO_SPEED: f64 = 4.0;
const READY_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Run one relay through all phases, print what happens, and exit; 0 on success.
    #[arg(long)]
    demo: bool,
    /// Run shows on this many channels (1 to 5000), so that the console has data.
    #[arg(long, value_name = "CHANNELS", conflicts_with = "demo", value_parser = clap::value_parser!(u32).range(1..=5000))]
    demo_fleet: Option<u32>,
    /// Sellers, encoders and viewers exchange real pictures and sound; needs ffmpeg. Seconds are real ones.
    #[arg(long, conflicts_with_all = ["demo", "demo_fleet", "speed"])]
    media: bool,
    /// Port on 127.0.0.1. Default: server.port, or a free port if it is taken.
    #[arg(long)]
    port: Option<u16>,
    /// Speed of the simulated vendors (default 1; 4 in the demo), not of the service's own timers.
    #[arg(long, value_parser = speed)]
    speed: Option<f64>,
    /// Egress product. Default: agora.backend.
    #[arg(long, value_enum)]
    backend: Option<SandboxBackend>,
    /// Streaming platform of starts that name none. Default: platforms.default.
    #[arg(long, value_enum)]
    platform: Option<SandboxPlatform>,
    /// Make a vendor call fail; can be repeated. --help lists calls and faults.
    #[arg(long = "fault", value_name = "CALL=KIND[,…]", value_parser = fault, long_help = fault_help())]
    faults: Vec<VendorFault>,
    /// Sellers are absent until the control API adds them.
    #[arg(long)]
    absent: bool,
    /// Send the simulated vendors' webhooks to the service.
    #[arg(long)]
    webhooks: bool,
    /// Deliver messages to this endpoint, signed with --receiver-secret. webhooks.endpoint is ignored.
    #[arg(long, value_name = "URL", requires = "receiver_secret")]
    receiver: Option<String>,
    /// Signing secret: whsec_ and 24 to 64 bytes in base64.
    #[arg(long, value_name = "SECRET", requires = "receiver")]
    receiver_secret: Option<SecretString>,
    /// API token. Default: a new one.
    #[arg(long, value_name = "TOKEN")]
    api_token: Option<SecretString>,
    /// Admin token. Default: a new one.
    #[arg(long, value_name = "TOKEN")]
    admin_token: Option<SecretString>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum SandboxBackend {
    /// A Cloud Recording task in web mode.
    CloudRecording,
    /// A Media Push converter.
    MediaPush,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum SandboxPlatform {
    /// Cloudflare Stream.
    Cloudflare,
    /// Mux Video.
    Mux,
    /// Amazon IVS.
    Ivs,
}

impl SandboxPlatform {
    fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Mux => "mux",
            Self::Ivs => "ivs",
        }
    }
}

struct Endpoint {
    url: String,
    api_token: SecretString,
    admin_token: SecretString,
}

pub(super) fn run(args: &SandboxArgs, loaded: Settings) -> anyhow::Result<ExitCode> {
    let threads = loaded.runtime.clone();
    application::run_on(&threads, async move {
        let listener = listen(args.port, loaded.server.port)?;
        listener.set_nonblocking(true)?;
        let endpoint = Endpoint {
            url: format!("http://{}", listener.local_addr()?),
            api_token: args.api_token.clone().unwrap_or_else(token),
            admin_token: args.admin_token.clone().unwrap_or_else(token),
        };
        let vendors = SimulatedVendors::start(vendors_options(args, &endpoint))
            .context("cannot start the simulated vendors")?;
        let mut settings = settings::of_sandbox(loaded, args, &vendors, &endpoint);
        settings.server.port = listener.local_addr()?.port();
        if args.demo {
            demo::quicken(&mut settings);
        } else {
            begin_anew(&settings.database).await?;
        }
        if let Some(channels) = args.demo_fleet {
            fleet::quicken(&mut settings, channels);
        }
        settings.validate()?;
        let backend = settings.agora.backend;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let told_to_stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let (finish, finished) = tokio::sync::oneshot::channel::<()>();
        let application = Application::on(listener, settings).await?;
        let service = application.run_until(async {
            let _ = finished.await;
        });
        let work = async {
            let done = tokio::select! {
                done = work(args, &endpoint, &vendors, backend) => done,
                () = told_to_stop => if args.demo { Err(anyhow::anyhow!("interrupted before the end of the demo")) } else { Ok(()) },
            };
            drop(finish);
            done
        };
        let (served, done) = tokio::join!(service, work);
        served?;
        done?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn work(
    args: &SandboxArgs,
    endpoint: &Endpoint,
    vendors: &SimulatedVendors,
    backend: AgoraBackend,
) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    wait_until_ready(&http, endpoint).await?;
    if args.demo {
        return demo::run(http, endpoint, vendors, backend).await;
    }
    let marketplace = Marketplace::start(&endpoint.url, endpoint.api_token.clone())
        .context("cannot start the marketplace's server")?;
    introduce(args, endpoint, vendors, &marketplace, backend);
    match args.demo_fleet {
        Some(channels) => {
            fleet::run(&http, endpoint, vendors, channels).await;
            Ok(())
        }
        None => std::future::pending().await,
    }
}

/// Before that, the service refuses starts with `starting`.
async fn wait_until_ready(http: &reqwest::Client, endpoint: &Endpoint) -> anyhow::Result<()> {
    let asked = async {
        loop {
            let answer = http.get(format!("{}/readyz", endpoint.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, asked)
        .await
        .context("the service did not become ready")
}

#[allow(clippy::print_stdout, reason = "the command's output")]
fn introduce(
    args: &SandboxArgs,
    endpoint: &Endpoint,
    vendors: &SimulatedVendors,
    marketplace: &Marketplace,
    backend: AgoraBackend,
) {
    let Endpoint { url, .. } = endpoint;
    let token = endpoint.api_token.expose_secret();
    let control = vendors.control_url();
    let watch = marketplace.watch_url(42);
    let backend = backend_name(backend);
    let speed = args.speed.unwrap_or(1.0);
    println!("relaykeeper with simulated vendors ({backend}, {speed} × real time).");
    println!("Press Ctrl-C to stop.\n");
    println!("  address       {url}");
    println!("  console       {url}/admin (sign in with the admin token)");
    println!("  buyers' page  {watch}");
    println!("  api token     {token}");
    println!("  admin token   {}", endpoint.admin_token.expose_secret());
    println!("  database      ./{DATABASE}, new for each run");
    println!("  vendors       {control}/control/state shows their objects\n");
    let latency = if args.media {
        ",\"latency\":\"low\""
    } else {
        ""
    };
    println!("Start a channel, read it, stop it:\n");
    println!(
        "  curl -X POST {url}/v1/channels/42/start -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
         -d '{{\"channel_name\":\"show68\",\"seller_uid\":12345{latency}}}'"
    );
    println!("  curl {url}/v1/channels/42 -H 'Authorization: Bearer {token}'");
    println!("  curl -X POST {url}/v1/channels/42/stop -H 'Authorization: Bearer {token}'\n");
    let (first, then) = if args.absent {
        ("joins", "leaves")
    } else {
        ("leaves", "comes back to")
    };
    println!("The seller {first} the channel, and {then} it:\n");
    for present in [args.absent, !args.absent] {
        println!(
            "  curl -X POST {control}/control/sellers -d '{{\"channel\":\"show68\",\"uid\":12345,\"present\":{present}}}'"
        );
    }
    if args.media {
        println!("\nBuyers see and hear it, and its recording after the stop:\n\n  {watch}");
    }
}

fn backend_name(backend: AgoraBackend) -> &'static str {
    match backend {
        AgoraBackend::CloudRecording => "cloud_recording",
        AgoraBackend::MediaPush => "media_push",
    }
}

#[allow(clippy::print_stderr, reason = "the command's messages")]
fn listen(asked: Option<u16>, usual: u16) -> anyhow::Result<TcpListener> {
    let port = asked.unwrap_or(usual);
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => Ok(listener),
        Err(error) if asked.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let free = listener.local_addr()?.port();
            eprintln!("Port {port} is in use; using {free}.");
            Ok(listener)
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on 127.0.0.1:{port}")),
    }
}

fn vendors_options(args: &SandboxArgs, endpoint: &Endpoint) -> Options {
    let address = |path| {
        args.webhooks
            .then(|| format!("{}/webhooks/{path}", endpoint.url))
    };
    Options {
        speed: args
            .speed
            .unwrap_or(if args.demo { DEMO_SPEED } else { 1.0 }),
        wire_speed: Some(1.0),
        media: args.media,
        faults: args.faults.clone(),
        sellers_present: !args.absent,
        quotas: args.demo_fleet.map(fleet::quotas).unwrap_or_default(),
        webhooks: WebhookUrls {
            cloudflare_live: address("cloudflare/live"),
            cloudflare_stream: address("cloudflare/stream"),
            agora: address("agora"),
            mux: address("mux"),
            ivs: address("ivs"),
            ..WebhookUrls::default()
        },
        ..Options::default()
    }
}

/// Deletes the database of an earlier run, whose vendors are gone.
async fn begin_anew(database: &DatabaseSettings) -> anyhow::Result<()> {
    let Ok(_lock) = DatabaseLock::try_acquire(database)? else {
        bail!("another sandbox uses this folder: stop it, or use another folder");
    };
    for ending in ["", "-wal", "-shm"] {
        let file = format!("{DATABASE}{ending}");
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot delete {file}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn token() -> SecretString {
    uuid::Uuid::new_v4().simple().to_string().into()
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("must be a number from 0.1 to 1000".to_owned()),
    }
}

fn fault(text: &str) -> Result<VendorFault, String> {
    text.parse::<VendorFault>().map_err(|error| {
        let error = error.to_string();
        let what = error.split("; known are").next().unwrap_or_default();
        format!("{what}\n\n{}", fault_help())
    })
}

fn fault_help() -> String {
    let calls: String = VendorCall::iter()
        .map(|call| format!("  {call}\n"))
        .collect();
    format!(
        "Make a vendor call fail: CALL=KIND[,times=N|forever][,after=N][,retry-after=SECONDS]. Default: once, at the first \
         call. Can be repeated.\n\n\
         Kinds:\n  \
         503 or status:503     not executed, this status\n  \
         status-after:503      executed, this status\n  \
         refuse                not executed, connection closed\n  \
         cut-after             executed, connection closed without a response\n  \
         hang                  not executed, no response\n  \
         not-json              executed, HTML response\n  \
         page or page:200      not executed, HTML response\n  \
         page:403              not executed, this status with HTML\n  \
         code:400:65           not executed, this status and vendor code\n  \
         not-found-for:30s     404 for this long\n\n\
         Calls:\n{calls}"
    )
}

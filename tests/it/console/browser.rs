//! Drives Chromium over the WebDriver protocol; the crates for that bring code under the MPL.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::service::{ADMIN_TOKEN, PATIENCE, Service};

/// Media play without a click, windows connect by WebRTC, and a window behind another is not slowed down.
pub(crate) const MEDIA: [&str; 5] = [
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
];

/// A browser with an empty profile; closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
    base: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub(crate) async fn open(service: &Service) -> Self {
        Self::open_with(&service.url, &[]).await
    }

    /// With further flags. Paths are below `base`.
    pub(crate) async fn open_with(base: &str, further: &[&str]) -> Self {
        let flags = [&["--headless", "--hide-scrollbars"], further].concat();
        let browser = Self::launch(base, &flags, &[]).await;
        browser.size(1280, 900).await;
        browser
    }

    /// On a screen of 640x360 and with a sound card, which the environment names.
    pub(crate) async fn on_screen(
        base: &str,
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Self {
        let kiosk = ["--kiosk", "--window-position=0,0", "--window-size=640,360"];
        let flags = [&kiosk[..], flags].concat();
        Self::launch(base, &flags, environment).await
    }

    async fn launch(base: &str, further: &[&str], environment: &[(&str, &str)]) -> Self {
        // Of two drivers that start at once and choose the same port, one exits.
        let started = (0..5).find_map(|_| start_driver(environment));
        let (driver, port) = started.expect("a chromedriver that says its port");
        let profile = tempfile::tempdir().unwrap();
        let flags = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // No page may wait for another host.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ];
        let mut flags = [&flags[..], further].concat();
        let folder = format!("--user-data-dir={}", profile.path().display());
        flags.push(&folder);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            // Without the bar that says that a program drives the browser.
            "goog:chromeOptions": {"args": flags, "excludeSwitches": ["enable-automation"]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Self {
            driver,
            http,
            session: format!("http://127.0.0.1:{port}/session"),
            base: base.to_owned(),
            _profile: profile,
        };
        let opened = browser.ask("", wanted).await;
        let id = opened["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    pub(crate) async fn signed_in(service: &Service) -> Self {
        let browser = Self::open(service).await;
        browser.sign_in(ADMIN_TOKEN).await;
        browser.wait_for(".bar nav").await;
        browser
    }

    pub(crate) async fn sign_in(&self, token: &str) {
        self.go("/admin/sign-in").await;
        self.fill("#token", token).await;
        self.click("form button").await;
    }

    pub(crate) async fn go(&self, path: &str) {
        self.go_to(&format!("{}{path}", self.base)).await;
    }

    pub(crate) async fn go_to(&self, url: &str) {
        self.ask("/url", json!({"url": url})).await;
    }

    pub(crate) async fn path(&self) -> String {
        let path = self.run("return location.pathname").await;
        path.as_str().unwrap().to_owned()
    }

    /// Runs a script in the page and returns its value.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.ask("/execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Runs an async function in the page and returns its value.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; ({script})().then(done);");
        self.ask("/execute/async", json!({"script": script, "args": []}))
            .await
    }

    /// Waits until a JavaScript expression is true.
    pub(crate) async fn wait(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        let deadline = Instant::now() + PATIENCE;
        while self.run(&script).await != json!(true) {
            if Instant::now() >= deadline {
                let page = self.run("return document.body.innerText").await;
                panic!("never {expression}: {}", page.as_str().unwrap());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn wait_for(&self, css: &str) {
        self.wait(&format!("document.querySelector({})", json!(css)))
            .await;
    }

    pub(crate) async fn wait_for_text(&self, text: &str) {
        self.wait(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ))
        .await;
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({}).innerText", json!(css));
        self.run(&script).await.as_str().unwrap().to_owned()
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.ask(&format!("/element/{element}/click"), json!({}))
            .await;
    }

    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.ask(&format!("/element/{element}/value"), json!({"text": text}))
            .await;
    }

    async fn element(&self, css: &str) -> String {
        self.wait_for(css).await;
        let found = json!({"using": "css selector", "value": css});
        let found = self.ask("/element", found).await;
        let id = found.as_object().unwrap().values().next().unwrap();
        id.as_str().unwrap().to_owned()
    }

    pub(crate) async fn size(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}),
        )
        .await;
    }

    pub(crate) async fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({"features": [{"name": "prefers-color-scheme", "value": value}]}),
        )
        .await;
    }

    /// Runs a script in each later page, before the page's own.
    pub(crate) async fn before_each_page(&self, script: &str) {
        let command = "Page.addScriptToEvaluateOnNewDocument";
        self.devtools(command, json!({"source": script})).await;
    }

    /// Opens another window; the calls go to it from then on.
    pub(crate) async fn new_window(&self) -> String {
        let opened = self.ask("/window/new", json!({"type": "window"})).await;
        let window = opened["handle"].as_str().unwrap().to_owned();
        self.switch(&window).await;
        window
    }

    pub(crate) async fn switch(&self, window: &str) {
        self.ask("/window", json!({"handle": window})).await;
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.ask(
            "/goog/cdp/execute",
            json!({"cmd": command, "params": params}),
        )
        .await
    }

    /// Writes the window, or the whole page, to `target/screenshots`. Returns the PNG in base64.
    pub(crate) async fn screenshot(&self, name: &str, whole: bool) -> String {
        let picture = json!({"captureBeyondViewport": whole});
        let picture = self.devtools("Page.captureScreenshot", picture).await;
        let picture = picture["data"].as_str().unwrap();
        let folder = target().join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        std::fs::write(file, STANDARD.decode(picture).unwrap()).unwrap();
        picture.to_owned()
    }

    /// New warnings and errors of the browser's console.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.ask("/se/log", json!({"type": "browser"})).await;
        let said = log.as_array().unwrap().iter();
        let said = said.filter(|line| line["level"] != "INFO" && line["level"] != "DEBUG");
        said.map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn ask(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session));
        let answer = request.json(&body).send().await.expect("an answer");
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert!(status.is_success(), "{path}: {body:#}");
        body["value"].clone()
    }
}

/// A driver and its port; `None` if it did not start.
fn start_driver(environment: &[(&str, &str)]) -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium-driver is installed: ./scripts/test does that");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.ok()?;
        let port = line.split("successfully on port ").nth(1)?;
        port.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        let _ = driver.wait();
        return None;
    };
    // Reads on: the driver would block on a full pipe, or end with a closed one.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A killed driver leaves its browser running.
        let session = self.session.clone();
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            runtime.block_on(async { http.delete(session).send().await.map(|_| ()) })
        });
        let _ = asked.join();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

pub(crate) fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target")
}

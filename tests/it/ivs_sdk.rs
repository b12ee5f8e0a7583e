//! AWS's official SDK agrees with the simulated Amazon IVS.
#![cfg(feature = "sandbox")]

use std::path::Path;
use std::process::Command;

use relaykeeper::sandbox::Options;
use serde_json::json;

use crate::support::aws::{Aws, unlimited};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python: ./scripts/test runs it"]
async fn the_official_sdk_works_with_the_simulated_ivs_and_its_model_accepts_the_answers() {
    // At this speed times have the whole seconds of AWS.
    let aws = Aws::start(Options {
        speed: 1.0,
        ..unlimited()
    });
    let configuration = aws.vendors.ivs_recording_configuration_arn();
    let body = json!({"name": "live", "recordingConfigurationArn": configuration});
    let channel = aws.create(body).await;
    aws.vendors
        .publish(&channel.publish_url, "encoder")
        .unwrap();
    aws.until_live(&channel).await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (folder, venv) = (root.join("tests/sdk/ivs"), root.join("target/ivs-sdk"));
    let python = venv.join("bin/python");
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&folder);
        command.envs(aws.vendors.ivs_environment());
        command
            .env("AWS_DEFAULT_REGION", aws.vendors.ivs_region())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("IVS_LIVE_CHANNEL", &channel.arn);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    if !python.exists() {
        let venv = venv.to_str().unwrap();
        run(Path::new("python3"), &["-m", "venv", venv]);
    }
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        "requirements.txt",
    ];
    run(&python, &pip);
    run(&python, &["-B", "check.py"]);
}

//! Executors, the scheduler and the driver are killed in the middle of a run.

use nix::sys::signal::Signal;

use super::processes::{Cluster, TIMEOUT, run};
use super::{DAY, TASK_SIZE, partitions};
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Sandbox, TestDestination, check_data, current_manifests};

const TABLE: &str = "pageview_events";

/// Returns a fault that starts the upload with this number and never responds.
fn hang_in_upload(number: u64) -> Fault {
    Fault::on(
        Operation::CreateMultipartUpload,
        Action::After(Failure::Silence),
    )
    .nth(number)
}

/// Three executors, one of which is killed while it writes.
#[test]
fn the_tasks_of_a_killed_executor_are_retried_on_another() {
    let on_one = Sandbox::fixtures(TestDestination::local());
    on_one.run(&[&DAY[..], &[TABLE]].concat()).succeeded();

    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let server = sandbox.destination.server();
    let mut cluster = Cluster::start(&sandbox, 1);
    server.inject(hang_in_upload(3));
    let args = [&DAY[..], &TASK_SIZE, &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    // The only executor has finished two tasks and started the upload of a third.
    assert!(server.wait_for_faults(1, TIMEOUT), "no upload starts");
    cluster.add(&sandbox, 2);
    cluster.executors[0].signal(Signal::SIGKILL);
    assert_eq!(running.exit_code(), Some(0));

    check_data(&sandbox.destination, &[]);
    assert_eq!(
        partitions(&sandbox.destination),
        partitions(&on_one.destination)
    );
    // Files that the killed executor had staged are not published, not even complete ones. Their
    // tokens are lost: the lifecycle rule removes the uploads.
    assert_eq!(sandbox.destination.leftovers().len(), 3);
    let to = sandbox.destination.url();
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
}

#[test]
fn a_killed_scheduler_ends_the_run_and_nothing_is_visible() {
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let server = sandbox.destination.server();
    let cluster = Cluster::start(&sandbox, 1);
    server.inject(hang_in_upload(1));
    let args = [&DAY[..], &TASK_SIZE, &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    assert!(server.wait_for_faults(1, TIMEOUT), "no upload starts");
    cluster.scheduler.signal(Signal::SIGKILL);
    assert_eq!(running.exit_code(), Some(75));
    assert!(current_manifests(&sandbox.destination).is_empty());
    assert_eq!(
        sandbox.destination.keys_below("data/"),
        Vec::<String>::new()
    );
}

/// Executors abort the uploads of a run that was stopped.
#[test]
fn a_stopped_run_leaves_no_upload_on_executors() {
    let sandbox = Sandbox::fixtures(TestDestination::s3());
    let server = sandbox.destination.server();
    let cluster = Cluster::start(&sandbox, 1);
    // The upload is registered; its first part never completes.
    server.inject(Fault::on(
        Operation::UploadPart,
        Action::Before(Failure::Silence),
    ));
    let args = [&DAY[..], &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    assert!(server.wait_for_faults(1, TIMEOUT), "no part is sent");
    server.clear_faults();
    // The lost response only marks the moment of the abort.
    server.inject(Fault::on(
        Operation::AbortMultipartUpload,
        Action::After(Failure::SlowDown),
    ));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.exit_code(), Some(75));
    assert!(server.wait_for_faults(1, TIMEOUT), "nothing is aborted");
    assert_eq!(sandbox.destination.leftovers(), Vec::<String>::new());
    assert!(current_manifests(&sandbox.destination).is_empty());
}

#[test]
fn an_unreachable_scheduler_is_named() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let output = sandbox.run_on("df://127.0.0.1:1", &DAY).exited_with(75);
    output
        .stderr_has("the scheduler at df://127.0.0.1:1 cannot be reached")
        .hint_has("dayport cluster scheduler");
    let output = sandbox.run_on("127.0.0.1:1", &DAY).exited_with(2);
    output
        .stderr_has("is no address of a scheduler")
        .hint_has("df://");
}

/// The rows are staged by executors: no audit sees them.
#[test]
fn a_table_with_audits_is_refused() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let cluster = Cluster::start(&sandbox, 1);
    let audits = format!("sql/audits/{TABLE}.sql");
    sandbox.write(&audits, "CALL unique(event_id);");
    let args = [&DAY[..], &[TABLE]].concat();
    sandbox
        .run_on(&cluster.url, &args)
        .exited_with(2)
        .stderr_has("cannot be audited")
        .hint_has("without --cluster");
    sandbox.remove(&audits);
    sandbox.run_on(&cluster.url, &args).succeeded();
}

/// On SIGTERM an executor finishes the tasks that it runs.
#[test]
fn processes_shut_down_gracefully() {
    let sandbox = Sandbox::fixtures(TestDestination::local());
    let mut cluster = Cluster::start(&sandbox, 1);
    sandbox
        .run_on(&cluster.url, &[&DAY[..], &[TABLE]].concat())
        .succeeded();
    let executor = cluster.executors.remove(0);
    executor.signal(Signal::SIGTERM);
    assert_eq!(executor.exit_code(), Some(0));
    cluster.scheduler.signal(Signal::SIGTERM);
    assert_eq!(cluster.scheduler.exit_code(), Some(0));
}

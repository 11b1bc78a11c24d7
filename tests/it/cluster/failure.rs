//! Executors, the scheduler and the driver, killed in the middle of a run.

use nix::sys::signal::Signal;

use super::processes::{Cluster, LIMIT, run};
use super::{DAY, TASK_SIZE, partitions};
use crate::s3::{Action, Failure, Fault, Operation};
use crate::support::{Place, Sandbox, check_data, current_manifests};

const TABLE: &str = "pageview_events";

/// This upload is begun, and whoever began it never hears of it.
fn hang_in_upload(number: u64) -> Fault {
    Fault::on(
        Operation::CreateMultipartUpload,
        Action::After(Failure::Silence),
    )
    .nth(number)
}

/// The transcript of the issue: three executors, one of them killed while it writes.
#[test]
fn the_tasks_of_a_killed_executor_are_done_elsewhere() {
    let on_one = Sandbox::fixtures(Place::local());
    on_one.run(&[&DAY[..], &[TABLE]].concat()).succeeded();

    let sandbox = Sandbox::fixtures(Place::s3());
    let server = sandbox.place.server();
    let mut cluster = Cluster::start(&sandbox, 1);
    server.inject(hang_in_upload(3));
    let args = [&DAY[..], &TASK_SIZE, &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    // The only executor there is has done two tasks, and has begun the upload of a third.
    assert!(server.wait_for_faults(1, LIMIT), "no upload begins");
    cluster.add(&sandbox, 2);
    cluster.executors[0].signal(Signal::SIGKILL);
    assert_eq!(running.ended(), Some(0));

    check_data(&sandbox.place, &[]);
    assert_eq!(partitions(&sandbox.place), partitions(&on_one.place));
    // What the killed one had staged is not published, not even what was whole. Nobody knows its
    // tokens any more: that is left to the lifecycle rule.
    assert_eq!(sandbox.place.leftovers().len(), 3);
    let to = sandbox.place.url();
    sandbox.dayport(&["verify", "--to", &to]).succeeded();
}

#[test]
fn a_killed_scheduler_ends_the_run_and_nothing_is_visible() {
    let sandbox = Sandbox::fixtures(Place::s3());
    let server = sandbox.place.server();
    let cluster = Cluster::start(&sandbox, 1);
    server.inject(hang_in_upload(1));
    let args = [&DAY[..], &TASK_SIZE, &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    assert!(server.wait_for_faults(1, LIMIT), "no upload begins");
    cluster.scheduler.signal(Signal::SIGKILL);
    assert_eq!(running.ended(), Some(75));
    assert!(current_manifests(&sandbox.place).is_empty());
    assert_eq!(sandbox.place.keys_below("data/"), Vec::<String>::new());
}

/// Executors take back what they have begun for a run that is no more.
#[test]
fn a_stopped_run_leaves_no_upload_on_executors() {
    let sandbox = Sandbox::fixtures(Place::s3());
    let server = sandbox.place.server();
    let cluster = Cluster::start(&sandbox, 1);
    // The upload is known; its first part never ends.
    server.inject(Fault::on(
        Operation::UploadPart,
        Action::Before(Failure::Silence),
    ));
    let args = [&DAY[..], &[TABLE]].concat();
    let running = run(&sandbox, &cluster, &args);
    assert!(server.wait_for_faults(1, LIMIT), "no part is sent");
    server.clear_faults();
    // Told to nobody: it only tells when.
    server.inject(Fault::on(
        Operation::AbortMultipartUpload,
        Action::After(Failure::SlowDown),
    ));
    running.signal(Signal::SIGTERM);
    assert_eq!(running.ended(), Some(75));
    assert!(server.wait_for_faults(1, LIMIT), "nothing is given up");
    assert_eq!(sandbox.place.leftovers(), Vec::<String>::new());
    assert!(current_manifests(&sandbox.place).is_empty());
}

#[test]
fn a_scheduler_that_is_not_there_is_named() {
    let sandbox = Sandbox::fixtures(Place::local());
    let ran = sandbox.run_on("df://127.0.0.1:1", &DAY).ended(75);
    ran.complains("the scheduler at df://127.0.0.1:1 cannot be reached")
        .hints("dayport cluster scheduler");
    let ran = sandbox.run_on("127.0.0.1:1", &DAY).ended(2);
    ran.complains("is no address of a scheduler").hints("df://");
}

/// SIGTERM: an executor ends the tasks that it has.
#[test]
fn processes_that_are_stopped_end_in_order() {
    let sandbox = Sandbox::fixtures(Place::local());
    let mut cluster = Cluster::start(&sandbox, 1);
    sandbox
        .run_on(&cluster.url, &[&DAY[..], &[TABLE]].concat())
        .succeeded();
    let executor = cluster.executors.remove(0);
    executor.signal(Signal::SIGTERM);
    assert_eq!(executor.ended(), Some(0));
    cluster.scheduler.signal(Signal::SIGTERM);
    assert_eq!(cluster.scheduler.ended(), Some(0));
}

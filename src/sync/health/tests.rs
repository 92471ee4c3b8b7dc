//! Objects in one line each, and how they fare.

use super::*;

mod kinds;

#[track_caller]
fn check(yaml: &str, expected: &str) {
    let object: Value = serde_yaml::from_str(yaml).unwrap();
    let said = match assess(&object, None) {
        Healthy => "healthy".to_owned(),
        Health::Progressing(text) => format!("progressing: {text}"),
        Failed(text) => format!("failed: {text}"),
    };
    assert_eq!(said, expected, "{yaml}");
}

#[test]
fn deployments() {
    let deployment = |spec: &str, status: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{generation: 2}}, spec: {{{spec}}}, status: {{{status}}}}}"
        )
    };
    let rolled = "observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2";
    check(&deployment("replicas: 2", rolled), "healthy");
    check(&deployment("replicas: 0", "observedGeneration: 2"), "healthy");
    check(&deployment("replicas: 2", ""), "progressing: was not observed yet");
    check(
        &deployment("replicas: 2", "observedGeneration: 1"),
        "progressing: its newest generation was not observed yet",
    );
    check(&deployment("replicas: 3", rolled), "progressing: 2 of 3 replicas are updated");
    check(
        &deployment("replicas: 2", "observedGeneration: 2, replicas: 3, updatedReplicas: 2, availableReplicas: 2"),
        "progressing: 1 old replicas are still there",
    );
    check(
        &deployment("", "observedGeneration: 2, replicas: 1, updatedReplicas: 1"),
        "progressing: 0 of 1 replicas are available",
    );
    check(
        &deployment(
            "",
            "observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: it timed out}]",
        ),
        "failed: it timed out",
    );
}

#[test]
fn other_workloads() {
    let object = |kind: &str, spec: &str, status: &str| {
        format!("{{apiVersion: apps/v1, kind: {kind}, spec: {{{spec}}}, status: {{{status}}}}}")
    };
    check(
        &object("StatefulSet", "replicas: 2", "observedGeneration: 1, replicas: 2, readyReplicas: 1"),
        "progressing: 1 of 2 replicas are ready",
    );
    check(
        &object(
            "StatefulSet",
            "replicas: 1",
            "observedGeneration: 1, replicas: 1, readyReplicas: 1, updatedReplicas: 0",
        ),
        "progressing: 0 of 1 replicas are updated",
    );
    check(
        &object(
            "StatefulSet",
            "replicas: 1",
            "observedGeneration: 1, replicas: 1, readyReplicas: 1, updatedReplicas: 1, currentRevision: a, updateRevision: a",
        ),
        "healthy",
    );
    check(
        &object("DaemonSet", "", "observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 1"),
        "progressing: 1 of 2 pods are updated",
    );
    check(
        "{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Failed, status: 'True', message: too often}]}}",
        "failed: too often",
    );
    check("{apiVersion: batch/v1, kind: Job, status: {conditions: [{type: Complete, status: 'True'}]}}", "healthy");
    check("{apiVersion: batch/v1, kind: Job}", "progressing: is running");
}

#[test]
fn everything_else() {
    check("{apiVersion: v1, kind: ConfigMap}", "healthy");
    check("{apiVersion: v1, kind: ConfigMap, metadata: {deletionTimestamp: now}}", "progressing: is being deleted");
    check("{apiVersion: v1, kind: Service, spec: {type: LoadBalancer}}", "progressing: has no load balancer yet");
    check("{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Pending}}", "progressing: is Pending");
    check(
        "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition}",
        "progressing: has no condition Established yet",
    );
    check(
        "{apiVersion: x.io/v1, kind: Widget, status: {conditions: [{type: Ready, status: 'False', message: not yet}]}}",
        "progressing: not yet",
    );
    check(
        "{apiVersion: x.io/v1, kind: Widget, status: {conditions: [{type: Stalled, status: 'True', message: no way}]}}",
        "failed: no way",
    );
    check("{apiVersion: x.io/v1, kind: Widget, status: {conditions: [{type: Ready, status: 'True'}]}}", "healthy");
    check(
        "{apiVersion: x.io/v1, kind: Bucket, status: {conditions: [{type: Ready, status: 'True'}, {type: Synced, status: 'False', message: no right}]}}",
        "progressing: no right",
    );
    check("{apiVersion: v1, kind: PersistentVolumeClaim, status: {phase: Lost}}", "failed: has lost its volume");
}

#[test]
fn troubled_pods() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: app-1}, status: {phase: Running, containerStatuses: [{name: app, state: {waiting: {reason: CrashLoopBackOff, message: back-off 10s}}}]}}";
    check(pod, "failed: CrashLoopBackOff: pod app-1: container app: back-off 10s");
    check(
        "{apiVersion: v1, kind: Pod, metadata: {name: app-1}, status: {phase: Pending, containerStatuses: [{name: app, state: {waiting: {reason: ContainerCreating}}}]}}",
        "progressing: is not ready yet",
    );
}

import Foundation
import Manifest
import TestSupport
import Testing

@testable import Deploy

@Suite struct KubernetesTests {
    @Test(arguments: [false, true]) func everyObjectIsValid(perFunction: Bool) async throws {
        let folder = try Samples.folder(Samples.kubernetes(perFunction: perFunction))
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way

        let validation = try await Peer.run("validate.py", folder.path)

        #expect(validation.status == 0, "\(validation.errors)")
        #expect(validation.output.contains(" 0 faults"))
    }

    @Test func theValidationFindsFaults() async throws {
        let files = try Samples.kubernetes().map { file in
            DeployFile(
                path: file.path,
                text: file.text.replacing("terminationGracePeriodSeconds", with: "terminationGraceSeconds")
                    .replacing("pollingInterval", with: "pollInterval")
                    .replacing("backendRefs", with: "backends")
            )
        }
        let folder = try Samples.folder(files)
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way

        let validation = try await Peer.run("validate.py", folder.path)

        #expect(validation.status == 1)
        for word in ["terminationGraceSeconds", "pollInterval", "backends"] {
            #expect(validation.errors.contains(word))
        }
    }

    @Test(arguments: [false, true]) func eachPodHasTheSecretsOfItsFunctionsAlone(perFunction: Bool) async throws {
        let manifest = try Samples.product
        let objects = try await Objects(Samples.kubernetes(perFunction: perFunction))
        let secrets = Set(manifest.variables.filter(\.isSecret).map(\.name))

        for (name, pod) in objects.pods {
            let environment = pod["containers"].items.flatMap { $0["env"].items }
            let given = environment.filter { $0["valueFrom"].isThere }.compactMap { $0["name"].text }
            let functions = manifest.functions.filter { (perFunction ? $0.name : $0.group) == name }
            let expected: Set<String> =
                switch name {
                case "gateway": ["METRICS_TOKEN"]
                case "migrate-0-1-0": ["DATABASE_OWNER_URL"]
                // The token is the host's own.
                default: Set(functions.flatMap(\.uses)).intersection(secrets).union(["METRICS_TOKEN"])
                }
            #expect(Set(given) == expected, "\(name)")
            #expect(given.count == expected.count, "\(name)")
            #expect(environment.allSatisfy { !secrets.contains($0["name"].text ?? "") || !$0["value"].isThere })
        }
        #expect(objects.pods.count == (perFunction ? manifest.functions.count : 3) + 2)
    }

    @Test func everyFunctionIsHostedByJustOnePod() async throws {
        let manifest = try Samples.product
        let groups = try await Objects(Samples.kubernetes()).pods
        let functions = try await Objects(Samples.kubernetes(perFunction: true)).pods
        func hosted(_ pods: [(name: String, spec: Objects.Part)]) -> [String] {
            pods.flatMap { pod -> [String] in
                let arguments = pod.spec["containers"].items[0]["args"].texts
                guard arguments.first == "serve" else { return [] }
                guard arguments[1] == "--group" else { return [arguments[1]] }
                return manifest.functions(inGroup: arguments[2]).map(\.name)
            }
        }

        #expect(hosted(groups).sorted() == manifest.functions.map(\.name).sorted())
        #expect(hosted(functions).sorted() == manifest.functions.map(\.name).sorted())
    }

    @Test func podsMayDoNothingButTheirWork() async throws {
        for (name, pod) in try await Objects(Samples.kubernetes()).pods {
            let security = pod["securityContext"]
            let container = pod["containers"].items[0]
            let own = container["securityContext"]

            #expect(security["runAsNonRoot"].isTrue && security["runAsUser"].number == 10001, "\(name)")
            #expect(security["seccompProfile"]["type"].text == "RuntimeDefault", "\(name)")
            #expect(own["readOnlyRootFilesystem"].isTrue, "\(name)")
            #expect(own["allowPrivilegeEscalation"].value as? Bool == false, "\(name)")
            #expect(own["capabilities"]["drop"].texts == ["ALL"], "\(name)")
            #expect(!own["capabilities"]["add"].isThere, "\(name)")
            #expect(container["volumeMounts"].items.map { $0["mountPath"].text } == ["/tmp"], "\(name)")
            #expect(pod["volumes"].items.allSatisfy { $0["emptyDir"].isThere }, "\(name)")
            #expect(pod["automountServiceAccountToken"].value as? Bool == false, "\(name)")
            #expect(container["resources"]["limits"]["memory"].isThere, "\(name)")
        }
    }

    @Test func hasTimeToFinishWhatRuns() async throws {
        let manifest = try Samples.product
        let pods = try await Objects(Samples.kubernetes()).pods

        for (name, pod) in pods where manifest.group(named: name) != nil {
            let limits = manifest.functions(inGroup: name).compactMap(\.timeout)
            let longest = try #require(limits.max()).components.seconds
            let pause = pod["containers"].items[0]["lifecycle"]["preStop"]["sleep"]["seconds"].number ?? 0
            #expect(try #require(pod["terminationGracePeriodSeconds"].number) > longest + Int64(pause), "\(name)")
        }
    }

    @Test(arguments: [false, true]) func workersFollowTheBacklogOfTheirQueues(perFunction: Bool) async throws {
        let manifest = try Samples.product
        let objects = try await Objects(Samples.kubernetes(perFunction: perFunction))
        var triggers: [String: String] = [:]
        for object in objects.of(kind: "ScaledObject") {
            let name = try #require(object["spec"]["scaleTargetRef"]["name"].text)
            let group = try #require(manifest.group(named: perFunction ? "workers" : name))
            #expect(objects.named(name, kind: "Deployment").isThere)
            #expect(object["spec"]["minReplicaCount"].number == group.scale.lowerBound)
            #expect(object["spec"]["maxReplicaCount"].number == group.scale.upperBound)
            for trigger in object["spec"]["triggers"].items {
                let host = try #require(
                    trigger["metadata"]["url"].text?.firstMatch(of: /http:\/\/([a-z-]+)\./)?.output.1
                )
                #expect(objects.named(String(host), kind: "Service").isThere)
                #expect(trigger["authenticationRef"]["name"].text == "metrics")
                triggers[try #require(trigger["name"].text)] = trigger["metadata"]["valueLocation"].text
            }
        }

        #expect(objects.named("metrics", kind: "TriggerAuthentication").isThere)
        #expect(Set(triggers.keys) == Set(manifest.queues.map(\.name)))
        for (queue, location) in triggers { #expect(location == "delightchat_queue_backlog{queue=\"\(queue)\"}") }
    }

    @Test func whatTakesRequestsIsScaledByItsProcessor() async throws {
        let objects = try await Objects(Samples.kubernetes())
        let api = objects.named("api", kind: "HorizontalPodAutoscaler")["spec"]

        #expect(
            objects.of(kind: "HorizontalPodAutoscaler").compactMap { $0["metadata"]["name"].text } == [
                "gateway", "api",
            ]
        )
        #expect(api["minReplicas"].number == 2 && api["maxReplicas"].number == 20)
        // What scales it says how many there are; of what isn't scaled the file does.
        #expect(!objects.named("api", kind: "Deployment")["spec"]["replicas"].isThere)
        #expect(objects.named("scheduler", kind: "Deployment")["spec"]["replicas"].number == 1)
    }

    @Test(arguments: [false, true]) func theGatewayLeadsToAllThatAnswersRequests(perFunction: Bool) async throws {
        let manifest = try Samples.product
        let objects = try await Objects(Samples.kubernetes(perFunction: perFunction))
        let arguments = objects.named("gateway", kind: "Deployment")["spec"]["template"]["spec"]["containers"].items[0][
            "args"
        ]
        let answering = manifest.functions.filter { $0.trigger.kind == .http }
        let names = perFunction ? answering.map(\.name) : ["api"]

        #expect(arguments.texts.filter { $0.contains("=") } == names.map { "\($0)=http://\($0):3000" })
        for name in names { #expect(objects.named(name, kind: "Service").isThere, "\(name)") }
        let route = objects.named("gateway", kind: "HTTPRoute")["spec"]
        #expect(route["hostnames"].texts == ["help.example.com", "help.example.org"])
        #expect(route["rules"].items[0]["backendRefs"].items[0]["name"].text == "gateway")
    }

    @Test func nothingIsReachedButByWhomItServes() async throws {
        let objects = try await Objects(Samples.kubernetes())
        func callers(_ name: String) -> [Objects.Part] {
            objects.named(name, kind: "NetworkPolicy")["spec"]["ingress"].items.flatMap { $0["from"].items }
        }
        let nothing = objects.named("nothing", kind: "NetworkPolicy")["spec"]

        #expect(nothing["policyTypes"].texts == ["Ingress", "Egress"])
        #expect(!nothing["ingress"].isThere && !nothing["egress"].isThere)
        let gateway = callers("requests").map { $0["podSelector"]["matchLabels"]["app.kubernetes.io/component"].text }
        #expect(gateway == ["gateway"])
        #expect(
            callers("metrics").map { $0["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"].text } == [
                "keda"
            ]
        )
    }
}

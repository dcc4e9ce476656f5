import Foundation
import Testing

@testable import Fleet

extension SupervisorTests {
    /// Supervisors of a gateway and what is behind it.
    @Suite(.serialized) struct SeveralHostsTests {
        private static let server = """
            trap 'while [ -e $D/hold-$NAME ]; do sleep 0.02; done; kill $! 2>/dev/null; echo $NAME >>$D/ended; exit 0' TERM
            setpriv --pdeathsig KILL sh -c 'while read -r line <&3; do case $line in
            accept) echo $0 >>$D/accepts ;;
            retire) echo released >&3; kill -TERM $1 ;;
            esac; done' $NAME $$ &
            echo "$NAME says it"
            [ -e $D/broken-$NAME ] && exit 3
            echo $NAME >>$D/starts; echo ready >&3; while :; do sleep 0.02; done
            """

        @Test func startsOnlyTheOneAgainThatCrashed() async throws {
            let trial = try Trial(hosts: ["api", "workers", HostLaunch.gateway])
            let run = try await serve(trial)
            let others = [trial.pid(of: "workers-1"), trial.pid(of: "gateway-1")]

            let before = try #require(trial.pid(of: "api-1"))
            kill(before, SIGKILL)
            try #require(await eventually { trial.hasSaid("api serves again") }, "\(trial.lines)")
            let after = trial.pid(of: "api-1")
            let othersAfter = [trial.pid(of: "workers-1"), trial.pid(of: "gateway-1")]
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(trial.hasSaid("api crashed after"))
            #expect(trial.hasSaid("in flight: assign-ticket r1"))
            #expect(after != before)
            #expect(others.allSatisfy { $0 != nil })
            #expect(others == othersAfter)
            #expect(trial.count("crashed after") == 1)
        }

        @Test func startsOneAgainThatSomebodyEnded() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial)

            kill(try #require(trial.pid(of: "api-1")), SIGTERM)
            let isBack = await eventually { trial.hasSaid("api serves again") }
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(isBack, "\(trial.lines)")
            #expect(status == 0)
        }

        @Test func endsTheGatewayBeforeThoseBehindIt() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial)

            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(text("ended", trial) == "gateway\napi\n")
        }

        @Test func aGatewayThatTakesLongHoldsTheOthersUpOnlyForAWhile() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial, gatewayLead: .milliseconds(50))
            _ = try trial.folder.write("", to: "hold-gateway")

            trial.signal(SIGTERM)
            let hasEnded = await eventually { text("ended", trial) == "api\n" }
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/hold-gateway")
            let status = try await run.value

            #expect(hasEnded, "\(trial.lines)")
            #expect(status == 0)
            #expect(text("ended", trial) == "api\ngateway\n")
        }

        @Test func startsOneAnewOnRequestAndEndsItsPredecessorOnceItServes() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial)

            let isTold = trial.state.tell("restart api")
            try #require(await eventually { trial.hasSaid("restarted api in") }, "\(trial.lines)")
            try #require(await eventually { text("ended", trial) == "api\n" }, "\(trial.lines)")
            let new = trial.pid(of: "api-2")
            _ = trial.state.tell("restart nobody")
            try #require(await eventually { trial.hasSaid("there is no host nobody") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(isTold)
            #expect(new != nil)
            #expect(status == 0)
            #expect(text("starts", trial)?.split(separator: "\n").sorted() == ["api", "api", "gateway"])
            #expect(!trial.hasSaid("crashed"))
            #expect(!trial.state.tell("restart api"))
        }

        @Test func startsAllAnewOneAfterAnotherTheGatewayLast() async throws {
            let trial = try Trial(hosts: ["api", "workers", HostLaunch.gateway])
            let run = try await serve(trial)

            _ = trial.state.tell("restart")
            try #require(await eventually { trial.hasSaid("restarted all in") }, "\(trial.lines)")
            let isOver = await eventually { text("ended", trial)?.split(separator: "\n").count == 3 }
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(isOver, "\(trial.lines)")
            #expect(status == 0)
            #expect(text("starts", trial)?.split(separator: "\n").suffix(3) == ["api", "workers", "gateway"])
        }

        @Test func aHostThatCannotBeStartedAnewLeavesTheOldOneServing() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial)
            let before = trial.pid(of: "api-1")

            _ = try trial.folder.write("", to: "broken-api")
            _ = trial.state.tell("restart api")
            try #require(await eventually { trial.hasSaid("the new api ended before it was ready") }, "\(trial.lines)")
            let after = trial.pid(of: "api-1")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(before != nil)
            #expect(before == after)
        }

        @Test func oneThatCannotRunAnyMoreLeavesTheOthersServingUntilItIsRestarted() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            var options = UpOptions()
            options.watch = false
            let run = try await serve(trial, options: options)
            let socket = "\(trial.folder.path)/api.sock"
            let wasThere = access(socket, F_OK) == 0

            _ = try trial.folder.write("", to: "broken-api")
            kill(try #require(trial.pid(of: "api-1")), SIGKILL)
            try #require(
                await eventually { trial.hasSaid("api cannot run as it is (exit status 3)") },
                "\(trial.lines)"
            )
            let isClosed = await eventually { access(socket, F_OK) != 0 }
            let gateway = trial.pid(of: "gateway-1")
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/broken-api")
            _ = trial.state.tell("restart api")
            try #require(await eventually { trial.hasSaid("restarted api in") }, "\(trial.lines)")
            let isBack = access(socket, F_OK) == 0
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(wasThere && isClosed && isBack)
            #expect(gateway != nil)
            #expect(status == 0)
        }

        @Test func keepsWhatEachHasWritten() async throws {
            let trial = try Trial(hosts: ["api", HostLaunch.gateway])
            let run = try await serve(trial)

            let isKept = await eventually {
                ["api", "gateway"].allSatisfy { name in
                    // Not there yet: nothing was written.
                    (try? String(contentsOfFile: trial.state.log(of: name), encoding: .utf8)) == "\(name) says it\n"
                }
            }
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(isKept)
        }

        // MARK: -

        private func serve(
            _ trial: Trial,
            options: UpOptions = UpOptions(),
            gatewayLead: Duration = .seconds(60)
        ) async throws -> Task<Int32, any Error> {
            let run = Task { try await trial.run(Self.server, options: options, gatewayLead: gatewayLead) }
            try #require(await eventually { trial.hasSaid("serving with redis://r") }, "\(trial.lines)")
            return run
        }

        private func text(_ name: String, _ trial: Trial) -> String? {
            // Absent: nothing has happened.
            try? String(contentsOfFile: "\(trial.folder.path)/\(name)", encoding: .utf8)
        }
    }
}

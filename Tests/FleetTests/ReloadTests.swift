import Foundation
import Testing

@testable import Fleet

extension SupervisorTests {
    /// Supervisors whose sources change under them.
    @Suite(.serialized) struct ReloadTests {
        /// Notes its number, serves, and ends on `retire` as on SIGTERM. Says when it may accept. What listens to the line dies
        /// with it: left over, it would hold what it inherited, other tests' pipes among it.
        private static let server = """
            echo x >>$D/starts; n=$(wc -l <$D/starts); trap 'kill $! 2>/dev/null; echo $n >>$D/ended; exit 0' TERM
            setpriv --pdeathsig KILL sh -c 'while read -r line <&3; do case $line in
            accept) echo $0 >>$D/accepts ;;
            retire) echo $0 >>$D/retired; while [ -e $D/hold ]; do sleep 0.02; done; echo released >&3
            while [ -e $D/linger ]; do sleep 0.02; done; kill -TERM $1 ;;
            esac; done' $n $$ &
            while [ -e $D/slow ]; do sleep 0.02; done
            echo ready >&3; while :; do sleep 0.02; done
            """

        private let trial: Trial

        init() throws {
            trial = try Trial()
            for name in ["Sources", "runner/Fleet"] {
                let folder = "\(trial.folder.path)/\(name)"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            try write("version: 1", to: "functions.yaml")
            try write("struct A {}", to: "Sources/A.swift")
        }

        @Test func swapsOnlyOnceTheNewHostServes() async throws {
            let run = try await serve()

            try write("", to: "slow")
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { text("starts") == "x\nx\n" }, "\(trial.lines)")
            let retiredBefore = text("retired")
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/slow")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            try #require(await eventually { text("ended") == "1\n" }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(retiredBefore == nil)
            #expect(text("retired") == "1\n")
            #expect(text("ended") == "1\n2\n")
            #expect(trial.hasSaid("Sources/A.swift changed; building"))
            #expect(trial.hasSaid("of them building"))
        }

        @Test func neverHasTwoThatAccept() async throws {
            let run = try await serve()
            try #require(await eventually { text("accepts") == "1\n" }, "\(trial.lines)")

            try write("", to: "hold")
            try write("", to: "linger")
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { text("retired") == "1\n" }, "\(trial.lines)")
            let whileTheOldOneHolds = text("accepts")
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/hold")
            let isHandedOver = await eventually { text("accepts") == "1\n2\n" }
            let endedBefore = text("ended")
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/linger")
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(whileTheOldOneHolds == "1\n")
            #expect(isHandedOver)
            #expect(endedBefore == nil)
        }

        @Test func anOldHostThatDiesInItsTurnLeavesItToTheNewOne() async throws {
            let run = try await serve()
            try write("", to: "hold")
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { text("retired") == "1\n" }, "\(trial.lines)")

            kill(try #require(trial.pid(of: "host-1")), SIGKILL)
            let isHandedOver = await eventually { text("accepts") == "1\n2\n" }
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(isHandedOver)
        }

        @Test func keepsTheOldHostWhenTheBuildFailsAndTakesTheMendedOne() async throws {
            let run = try await serve(
                Trial.Tools(
                    build: """
                        if grep -q tikcet $D/Sources/A.swift; then
                        echo "$D/Sources/A.swift:1:3: error: cannot find 'tikcet' in scope"; exit 1; fi
                        touch $D/product.new && mv $D/product.new $D/product
                        """
                )
            )

            try write("tikcet", to: "Sources/A.swift")
            try #require(await eventually { trial.hasSaid("the build failed") }, "\(trial.lines)")
            try #require(await eventually { trial.hasSaid("all of it: ") }, "\(trial.lines)")
            let startsBefore = text("starts")
            // Another file: what failed is built again all the same.
            try write("version: 1 ", to: "functions.yaml")
            try #require(await eventually { trial.count("the build failed") == 2 }, "\(trial.lines)")
            try write("ticket", to: "Sources/A.swift")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(startsBefore == "x\n")
            #expect(trial.lines.contains("  Sources/A.swift:1:3: error: cannot find 'tikcet' in scope\n"))
        }

        @Test func buildsNothingForTheManifestAloneAndNamesItsFaults() async throws {
            let run = try await serve(
                Trial.Tools(
                    build: "exit 1",
                    check:
                        "grep -q faulty $D/functions.yaml && echo 'functions.yaml:1:1: error: unknown key' && exit 3; exit 0"
                )
            )

            try write("faulty", to: "functions.yaml")
            try #require(
                await eventually { trial.hasSaid("  functions.yaml:1:1: error: unknown key") },
                "\(trial.lines)"
            )
            let startsBefore = text("starts")
            try write("version: 1 # mended", to: "functions.yaml")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(startsBefore == "x\n")
            #expect(trial.hasSaid("functions.yaml has faults; the old host serves on"))
            #expect(!trial.hasSaid("building"))
        }

        @Test func takesTheBuildThatWaitedForTheManifest() async throws {
            let run = try await serve(
                Trial.Tools(
                    check: "grep -q faulty $D/functions.yaml && exit 3; exit 0",
                    migrate: "echo migrated >>$D/migrated; echo 'applied 1'"
                )
            )

            try write("faulty", to: "functions.yaml")
            try #require(await eventually { trial.hasSaid("has faults") }, "\(trial.lines)")
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { trial.count("has faults") == 2 }, "\(trial.lines)")
            try write("version: 1 # mended", to: "functions.yaml")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(text("migrated") == "migrated\n")
            #expect(trial.hasSaid("runner: applied 1"))
        }

        @Test(arguments: [("exit 1", "the migration failed"), ("exit 0", "ended before it was ready (exit status 7)")])
        func keepsTheOldHostWhereTheNewOneCannotBe(migrate: String, said: String) async throws {
            let fails = migrate == "exit 0" ? "[ -e $D/starts ] && exit 7;" : ""
            let run = try await serve(Trial.Tools(migrate: migrate), script: fails + Self.server)

            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { trial.hasSaid(said) }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            #expect(text("ended") == "1\n")
            #expect(!trial.hasSaid("reloaded in"))
        }

        @Test func startsACrashedHostAgainWhileABuildRuns() async throws {
            let run = try await serve(Trial.Tools(build: "while [ ! -e $D/go ]; do sleep 0.02; done; touch $D/product"))
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { trial.hasSaid("building") }, "\(trial.lines)")

            kill(try #require(trial.pid(of: "host-1")), SIGKILL)
            try #require(await eventually { trial.hasSaid("the host serves again") }, "\(trial.lines)")
            try write("", to: "go")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            let status = try await run.value

            #expect(status == 0)
            // The new one ends on the signal, the old one when it was retired just before: in no order.
            #expect(text("ended")?.split(separator: "\n").sorted() == ["2", "3"])
        }

        @Test func waitsForTheChangeThatMendsAHost() async throws {
            let run = try await serve(script: "[ -e $D/broken ] && exit 3;" + Self.server)
            try write("", to: "broken")
            kill(try #require(trial.pid(of: "host-1")), SIGKILL)
            try #require(await eventually { trial.hasSaid("waiting for a change that mends it") }, "\(trial.lines)")

            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/broken")
            try write("version: 1 # mended", to: "functions.yaml")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)

            #expect(try await run.value == 0)
        }

        @Test func endsABuildWithItself() async throws {
            let run = try await serve(Trial.Tools(build: "touch $D/building; exec sleep 600"))
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { text("building") != nil }, "\(trial.lines)")
            let build = try #require(trial.pid(of: "build"))

            trial.signal(SIGINT)
            let status = try await run.value

            #expect(status == 0)
            #expect(ProcessRecord(runningAs: build) == nil)
            #expect(!trial.hasSaid("the build failed"))
            #expect(text("ended") == "1\n")
        }

        @Test func saysThatItIsItselfTheOldOne() async throws {
            let run = try await serve()

            try write("// new", to: "runner/Fleet/Supervisor.swift")
            try #require(await eventually { trial.hasSaid("reloaded in") }, "\(trial.lines)")
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(trial.hasSaid("start `runner up` anew"))
        }

        @Test func leavesNoFileOfGenerationsThatAreOver() async throws {
            let run = try await serve()
            for number in 1...2 {
                try write("struct A { let b = \(number) }", to: "Sources/A.swift")
                try #require(await eventually { trial.count("reloaded in") == number }, "\(trial.lines)")
            }
            try #require(await eventually { text("ended") == "1\n2\n" }, "\(trial.lines)")
            let isTidy = await eventually { builds() == ["runner-3"] }
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(isTidy, "\(builds()) \(trial.lines)")
        }

        @Test func keepsTheBuildThatIsStillBeingChecked() async throws {
            let run = try await serve(
                Trial.Tools(check: "echo x >>$D/checks; while [ -e $D/unchecked ]; do sleep 0.02; done; exit 0")
            )
            try write("", to: "linger")
            try write("struct A { let b = 1 }", to: "Sources/A.swift")
            try #require(await eventually { text("retired") == "1\n" }, "\(trial.lines)")
            try write("", to: "unchecked")
            try write("struct A { let b = 2 }", to: "Sources/A.swift")
            try #require(await eventually { text("checks") == "x\nx\n" }, "\(trial.lines)")

            // The first host's end tidies up while the third's build waits for its check.
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/linger")
            let isTidy = await eventually { builds() == ["runner-2", "runner-3"] }
            try FileManager.default.removeItem(atPath: "\(trial.folder.path)/unchecked")
            let isReloaded = await eventually { trial.count("reloaded in") == 2 }
            trial.signal(SIGTERM)
            _ = try await run.value

            #expect(isTidy, "\(builds()) \(trial.lines)")
            #expect(isReloaded, "\(trial.lines)")
        }

        // MARK: -

        private func serve(
            _ tools: Trial.Tools = Trial.Tools(),
            script: String = ReloadTests.server
        ) async throws -> Task<Int32, any Error> {
            let trial = trial
            let run = Task { try await trial.run(script, tools: tools) }
            try #require(await eventually { trial.hasSaid("serving with redis://r") }, "\(trial.lines)")
            return run
        }

        private func write(_ text: String, to name: String) throws {
            _ = try trial.folder.write(text, to: name)
        }

        /// The executables that are kept for hosts.
        private func builds() -> [String] {
            // Gone with the supervisor: none is kept.
            let names = (try? FileManager.default.contentsOfDirectory(atPath: trial.state.path + "/run")) ?? []
            return names.filter { $0.hasPrefix("runner-") }.sorted()
        }

        /// What a file in the folder holds; nothing where it isn't there.
        private func text(_ name: String) -> String? {
            // Absent: nothing has happened.
            try? String(contentsOfFile: "\(trial.folder.path)/\(name)", encoding: .utf8)
        }
    }
}

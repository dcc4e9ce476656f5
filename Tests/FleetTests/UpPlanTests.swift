import Fleet
import Testing

@Suite struct UpPlanTests {
    @Test func startsPrivateServersAndSeedsThemWhenNothingIsGiven() throws {
        let plan = try UpPlan(UpOptions(), environment: [:])

        #expect(plan.database == .ours)
        #expect(plan.queue == .ours)
        #expect(plan.port == 3000)
        #expect(plan.seeds)
        #expect(plan.wipe == .nothing)
        #expect(plan.remarks == [])
    }

    @Test func usesWhatIsGivenAndSeedsItOnlyWhenAsked() throws {
        let environment = [
            "DATABASE_URL": "postgres://a", "DATABASE_OWNER_URL": "postgres://o", "REDIS_URL": "redis://r",
        ]
        var asked = UpOptions()
        asked.seed = true

        let plan = try UpPlan(UpOptions(), environment: environment)
        let seeding = try UpPlan(asked, environment: environment)

        #expect(plan.database == .given(url: "postgres://a", owner: "postgres://o"))
        #expect(plan.queue == .given(url: "redis://r"))
        #expect(!plan.seeds)
        #expect(seeding.seeds)
    }

    @Test func takesTheApplicationsURLForTheOwnersWhenThereIsNoOther() throws {
        let plan = try UpPlan(UpOptions(), environment: ["DATABASE_URL": "postgres://a", "REDIS_URL": "redis://r"])

        #expect(plan.database == .given(url: "postgres://a", owner: "postgres://a"))
    }

    @Test func takesAnEmptyVariableForAnAbsentOne() throws {
        let plan = try UpPlan(UpOptions(), environment: ["DATABASE_URL": "", "REDIS_URL": "", "PORT": ""])

        #expect(plan == (try UpPlan(UpOptions(), environment: [:])))
    }

    @Test func prefersTheFlagsPortToTheEnvironments() throws {
        var options = UpOptions()
        options.port = 4000

        #expect(try UpPlan(options, environment: ["PORT": "5000"]).port == 4000)
        #expect(try UpPlan(UpOptions(), environment: ["PORT": "5000"]).port == 5000)
    }

    @Test(arguments: ["0", "65536", "http", "-1"])
    func refusesWhatIsNoPort(text: String) {
        #expect(throws: FleetError("PORT=\(text) is not a port (1 to 65535)")) {
            try UpPlan(UpOptions(), environment: ["PORT": text])
        }
    }

    @Test func startsServersAloneAndNothingElseForEngines() throws {
        var options = UpOptions()
        options.engines = true

        let plan = try UpPlan(options, environment: [:])

        #expect(!plan.hosts)
        #expect(!plan.seeds)
        #expect(throws: FleetError.self) {
            try UpPlan(options, environment: ["DATABASE_URL": "postgres://a", "REDIS_URL": "redis://r"])
        }
        options.only = ["api"]
        #expect(throws: FleetError.self) { try UpPlan(options, environment: [:]) }
        options.only = []
        options.shape = .perGroup
        #expect(throws: FleetError.self) { try UpPlan(options, environment: [:]) }
    }

    @Test func saysHowManyConnectionsAProcessForEachFunctionNeeds() throws {
        var options = UpOptions()
        options.shape = .perFunction
        let given = ["DATABASE_URL": "postgres://a", "REDIS_URL": "redis://r"]

        #expect(try UpPlan(options, environment: given).remarks.count == 1)
        #expect(try UpPlan(options, environment: [:]).remarks == [])
    }

    @Test func asksBeforeItWipesUnlessToldNotTo() throws {
        var options = UpOptions()
        options.fresh = true
        let asking = try UpPlan(options, environment: [:])
        options.yes = true
        let silent = try UpPlan(options, environment: [:])

        #expect(asking.wipe == .afterAsking)
        #expect(silent.wipe == .withoutAsking)
    }

    @Test func refusesToWipeWhenNothingIsPrivate() {
        var options = UpOptions()
        options.fresh = true

        #expect(throws: FleetError.self) {
            try UpPlan(options, environment: ["DATABASE_URL": "postgres://a", "REDIS_URL": "redis://r"])
        }
    }

    @Test func saysWhatAWipeLeavesAloneAndWhereJobsLie() throws {
        var options = UpOptions()
        options.fresh = true

        let plan = try UpPlan(options, environment: ["DATABASE_URL": "postgres://a"])

        #expect(
            plan.remarks == [
                "DATABASE_URL is given and REDIS_URL is not: jobs lie in the private Redis",
                "--fresh leaves the database of DATABASE_URL alone",
            ]
        )
    }

    @Test func refusesAnOwnerWithoutADatabase() {
        #expect(throws: FleetError.self) {
            try UpPlan(UpOptions(), environment: ["DATABASE_OWNER_URL": "postgres://o"])
        }
    }
}

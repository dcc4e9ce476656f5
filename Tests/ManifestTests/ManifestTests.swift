import Cron
import Testing

@testable import Manifest

@Suite struct ManifestTests {
    @Test func readsEveryKindOfFunction() throws {
        let manifest = try Manifest.parse(Sample.text)

        #expect(manifest.name == "delightchat")
        #expect(manifest.variables.map(\.name) == ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "LOG_LEVEL"])
        #expect(manifest.groups.map(\.scale) == [2...20, 0...30, 1...1])
        #expect(
            manifest.functions.map(\.name) == [
                "assign-ticket", "import-recipients", "receive-message", "expire-invites",
            ]
        )
    }

    @Test func mergesDefaultsUnderAnHTTPFunction() throws {
        let function = try #require(Manifest.parse(Sample.text).function(named: "assign-ticket"))

        #expect(
            function
                == FunctionDeclaration(
                    name: "assign-ticket",
                    handler: "Tickets/AssignTicket",
                    trigger: .http(
                        HTTPTrigger(
                            method: .post,
                            path: PathPattern([
                                .literal("orgs"), .parameter("orgId", .uuid), .literal("tickets"),
                                .parameter("ticketId", .uuid), .literal("assign"),
                            ])
                        )
                    ),
                    access: .admin,
                    timeout: .seconds(10),
                    idleTimeout: nil,
                    concurrency: nil,
                    bodyLimits: BodyLimits(standard: 1 << 20),
                    uses: ["DATABASE_URL", "REDIS_URL", "LOG_LEVEL"],
                    group: "api",
                    doc: nil,
                    position: SourcePosition(line: 27, column: 3)
                )
        )
        #expect(function.handlerFolder == "Tickets")
        #expect(function.handlerType == "AssignTicket")
    }

    @Test func aProcessSeesWhatItsFunctionsUseAndTheHostsOwn() throws {
        let text = Sample.text.replacing(
            "  LOG_LEVEL:",
            with: "  DATABASE_OWNER_URL: { secret: true }\n  PORT: { type: int, default: 3000 }\n  LOG_LEVEL:"
        ).replacing("  JWT_SECRET:   { ", with: "  JWT_SECRET: { shared: true, ")
        let manifest = try Manifest.parse(text)
        let recipients = try #require(manifest.function(named: "import-recipients"))

        let variables = manifest.variables(hosting: [recipients])

        // No function uses JWT_SECRET here; the owner's address is for migrations alone.
        #expect(variables.map(\.name) == ["DATABASE_URL", "JWT_SECRET", "PORT"])
        #expect(variables.map(\.isShared) == [false, true, false])
    }

    @Test func mergesMappingsAndReplacesLists() throws {
        let function = try #require(Manifest.parse(Sample.text).function(named: "import-recipients"))

        #expect(function.bodyLimits == BodyLimits(standard: 1 << 20, byType: ["text/csv": 256 << 20]))
        #expect(function.bodyLimits.limit(for: "Text/CSV; charset=utf-8") == 256 << 20)
        #expect(function.bodyLimits.limit(for: "application/json") == 1 << 20)
        #expect(function.bodyLimits.limit(for: nil) == 1 << 20)
        #expect(function.bodyLimits.largest == 256 << 20)
        #expect(function.uses == ["DATABASE_URL"])
        #expect(function.access == .member)
        #expect(function.timeout == nil)
        #expect(function.idleTimeout == .seconds(60))
    }

    @Test func readsQueueAndScheduleTriggers() throws {
        let manifest = try Manifest.parse(Sample.text)

        #expect(
            manifest.function(named: "receive-message")?.trigger
                == .queue(
                    QueueTrigger(
                        queue: "inbound",
                        batch: 200,
                        concurrency: 4,
                        attempts: 5,
                        backoff: .exponential(first: .seconds(2), most: .seconds(600))
                    )
                )
        )
        #expect(
            manifest.function(named: "expire-invites")?.trigger
                == .schedule(ScheduleTrigger(cron: try CronExpression("*/15 * * * *"), timezone: "Europe/Berlin"))
        )
        #expect(manifest.functions.map(\.group) == ["api", "api", "workers", "scheduler"])
    }

    @Test func tellsWhatFunctionsUse() throws {
        let manifest = try Manifest.parse(Sample.text)

        let used = manifest.variables(usedBy: manifest.functions(inGroup: "workers"))

        #expect(used.map(\.name) == ["DATABASE_URL", "REDIS_URL", "LOG_LEVEL"])
    }

    @Test func managesWithTheLeast() throws {
        let manifest = try Manifest.parse(
            """
            version: 1
            name: small
            functions:
              show-root: { handler: Pages/ShowRoot, http: GET /, access: public }
              eat-crumbs: { handler: Pages/EatCrumbs, queue: crumbs }
            """
        )

        #expect(manifest.groups.map(\.name) == ["api", "workers", "scheduler"])
        #expect(manifest.function(named: "show-root")?.timeout == .seconds(10))
        #expect(
            manifest.function(named: "eat-crumbs")?.trigger
                == .queue(
                    QueueTrigger(queue: "crumbs", batch: 1, concurrency: 1, attempts: 1, backoff: nil)
                )
        )
    }

    @Test(arguments: [
        ("assign-ticket", "AssignTicket"), ("list-api-keys", "ListApiKeys"), ("sync-v2", "SyncV2"), ("x-1a", "X1a"),
    ]) func rewritesNamesToTypes(name: String, type: String) {
        #expect(FunctionDeclaration.typeName(for: name) == type)
    }

    @Test func showsItsFunctionsAndRoutes() throws {
        let manifest = try Manifest.parse(Sample.text)

        #expect(
            manifest.routeTable.description == """
                METHOD  PATH                                   ACCESS  FUNCTION
                POST    /orgs/:orgId/campaigns/:id/recipients  member  import-recipients
                POST    /orgs/:orgId/tickets/:ticketId/assign  admin   assign-ticket
                """
        )
        #expect(manifest.functionTable.rows.map { $0[1] }.last == "schedule */15 * * * *")
        #expect(
            manifest.groupTable.rows == [
                ["api", "2..20", "2"], ["workers", "0..30", "1"], ["scheduler", "1..1", "1"],
            ]
        )
        #expect(
            manifest.function(named: "receive-message")?.facts.map { "\($0.label): \($0.value)" } == [
                "function: receive-message", "handler: Messages/ReceiveMessage",
                "source: Sources/Helpdesk/Messages/ReceiveMessage.swift", "trigger: queue inbound", "batch: 200",
                "attempts: 5", "backoff: exponential 2s max 10m", "concurrency: 4", "timeout: 10s", "group: workers",
                "uses: DATABASE_URL, REDIS_URL, LOG_LEVEL",
            ]
        )
    }
}

/// A manifest without faults.
enum Sample {
    static let text = """
        version: 1
        name: delightchat

        variables:
          DATABASE_URL: { secret: true }
          REDIS_URL:    { secret: true }
          JWT_SECRET:   { secret: true, min_length: 32 }
          LOG_LEVEL:    { default: info, enum: [trace, debug, info, notice, warning, error] }

        defaults:
          uses: [DATABASE_URL, REDIS_URL, LOG_LEVEL]
          timeout: 10s
          http:  { access: member, body_limit: 1MiB }
          queue: { concurrency: 10, attempts: 5, backoff: exponential 2s max 10m }
          params: { orgId: uuid, ticketId: uuid, id: uuid }

        groups:
          api:       { scale: 2..20 }
          workers:   { scale: 0..30 }
          scheduler: { scale: 1..1 }

        queues:
          inbound:  { doc: messages from the channels }
          outbound:

        functions:
          assign-ticket:
            handler: Tickets/AssignTicket
            http: POST /orgs/:orgId/tickets/:ticketId/assign
            access: admin
          import-recipients:
            handler: Campaigns/ImportRecipients
            http: POST /orgs/:orgId/campaigns/:id/recipients
            body_limit: { text/csv: 256MiB }
            uses: [DATABASE_URL]
            timeout: none
            idle_timeout: 1m
          receive-message:
            handler: Messages/ReceiveMessage
            queue: inbound
            batch: 200
            concurrency: 4
          expire-invites:
            handler: Users/ExpireInvites
            schedule: "*/15 * * * *"
            timezone: Europe/Berlin

        """
}

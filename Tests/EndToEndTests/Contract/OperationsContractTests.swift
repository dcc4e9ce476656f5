import TestSupport
import Testing

@Suite struct OperationsContractTests {
    @Test func tellsThatItIsUpReadyAndWhatItDid() async throws {
        let api = try await Contract.host().api

        let ready = try await api.get("/ready")
        let metrics = try await api.get("/metrics")

        #expect(try await api.get("/health").status == 200)
        #expect(ready.status == 200)
        #expect(["weak", "strong"].contains(ready.string("durability")))
        #expect(metrics.headers["content-type"]?.hasPrefix("text/plain") == true)
        #expect(metrics.text.contains("# TYPE "))
    }

    @Test func metricsNeedTheTokenFromAnotherMachine() async throws {
        let api = try await Contract.host().api
        let away = ["X-Forwarded-For": "192.0.2.1"]

        #expect(try await api.get("/metrics", headers: away).problem == "401")
        let token = ["Authorization": "Bearer metrics-token-of-the-tests"].merging(away) { one, _ in one }
        #expect(try await api.get("/metrics", headers: token).status == 200)
        let wrong = ["Authorization": "Bearer another-token-of-the-tests"].merging(away) { one, _ in one }
        #expect(try await api.get("/metrics", headers: wrong).problem == "401")
    }
}

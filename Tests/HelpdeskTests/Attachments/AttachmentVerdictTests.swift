import Testing

@testable import Helpdesk

@Suite struct AttachmentVerdictTests {
    private func verdict(
        _ fault: AttachmentVerdict.Fault,
        attempts: Int = 1,
        age: Duration = .zero,
        jitter: Double = 1
    ) -> AttachmentVerdict {
        AttachmentVerdict(fault, attempts: attempts, age: age, kept: .seconds(86_400), jitter: jitter)
    }

    @Test(arguments: [(1, 10.0), (2, 20), (4, 80), (9, 2560), (10, 3600), (60, 3600)])
    func waitsEverLonger(_ attempts: Int, _ seconds: Double) {
        #expect(verdict(.passing(""), attempts: attempts) == .again(after: .seconds(seconds)))
        #expect(verdict(.passing(""), attempts: attempts, jitter: 0) == .again(after: .seconds(seconds / 2)))
    }

    @Test func givesUpWhenTheProviderKeepsItNoLonger() {
        #expect(verdict(.passing(""), age: .seconds(86_389)) == .again(after: .seconds(10)))
        #expect(verdict(.passing(""), age: .seconds(86_391)) == .failed)
    }

    @Test func givesUpOnWhatComesDamagedAFewTimes() {
        #expect(verdict(.damaged(""), attempts: 4) == .again(after: .seconds(80)))
        #expect(verdict(.damaged(""), attempts: 5) == .failed)
        #expect(verdict(.final("")) == .failed)
    }
}

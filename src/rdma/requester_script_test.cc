// SPDX-License-Identifier: Apache-2.0
// What the requester sends, and what it makes of each answer: IBA 9.7.2, 9.7.5.
#include "rdma/test_script.h"

namespace tideline::rdma {
namespace {

SCRIPT(Requester, PostWrite_Rts_LeavesAsOneFrame, R"(
  given RC mtu 256
  post WRITE 5 (1000)
  > WRITE_ONLY psn 100 len 1000 ack (1000)
  < ACK psn 103 msn 1
  complete send 5 SUCCESS
)")

SCRIPT(Requester, RcvAck_OfSeveral_CompletesAllUpToIt, R"(
  given RC
  post WRITE 1 (8)
  post SEND 2 (8)
  post WRITE 3 (8)
  > WRITE_ONLY psn 100
  > SEND_ONLY psn 101
  > WRITE_ONLY psn 102
  < ACK psn 101 msn 2
  complete send 1 SUCCESS
  complete send 2 SUCCESS
  complete nothing
  < ACK psn 102 msn 3
  complete send 3 SUCCESS
)")

SCRIPT(Requester, PostQuiet_Rts_CompletesSilently, R"(
  given RC
  post WRITE 1 quiet (8)
  > WRITE_ONLY psn 100
  < ACK psn 100 msn 1
  complete nothing
)")

// 9.7.7.2: two credits at message 1 are for messages 2 and 3.
SCRIPT(Requester, RcvCredits_Rts_SendsNoFurther, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 msn 1 syndrome 0x02
  complete send 1 SUCCESS
  post SEND 2 (8)
  post SEND_IMM 3 (8)
  post SEND 4 (8)
  post SEND 5 (8)
  > SEND_ONLY psn 101
  > SEND_ONLY_IMM psn 102
  > nothing
  < ACK psn 101 msn 2 syndrome 0x02
  complete send 2 SUCCESS
  > SEND_ONLY psn 103
  > nothing
  < ACK psn 103 msn 4 syndrome 0x1f
  > SEND_ONLY psn 104
)")

SCRIPT(Requester, RcvNoCredit_Rts_OnePacketAsks, R"(
  given RC mtu 256
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 msn 1 syndrome 0x00
  post SEND 2 (600)
  post SEND 3 (8)
  > SEND_FIRST psn 101 ack (256)
  > nothing
  # It has taken a request now, which counts.
  < ACK psn 101 msn 1 syndrome 0x01
  > SEND_LAST psn 102 ack (344)
  > nothing
  < ACK psn 103 msn 2 syndrome 0x00
  complete send 1 SUCCESS
  complete send 2 SUCCESS
  > SEND_ONLY psn 104 ack (8)
)")

SCRIPT(Requester, RcvNoCredit_Rts_HoldsUpNothingThatNeedsNone, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 msn 1 syndrome 0x00
  post WRITE 2 (8)
  post READ 3 (8)
  post FETCH_ADD 4 (8)
  post WRITE_IMM 5 (8)
  > WRITE_ONLY psn 101
  > READ_REQUEST psn 102
  > FETCH_ADD psn 103
  > nothing
  < READ_RESPONSE_ONLY psn 102 msn 3 syndrome 0x00 (8)
  > nothing
  < ATOMIC_ACK psn 103 msn 4 syndrome 0x00
  > WRITE_ONLY_IMM psn 104 ack
)")

// The responder tells of new ones by its last ACK again.
SCRIPT(Requester, RcvLastAckAgain_WithCredits_IsTaken, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 msn 1 syndrome 0x00
  post SEND 2 (8)
  post SEND 3 (8)
  > SEND_ONLY psn 101
  > nothing
  < ACK psn 100 msn 1 syndrome 0x02
  > SEND_ONLY psn 102
  count drop_ack_stale 0
  # What is older says less, and is a ghost.
  < ACK psn 100 msn 1 syndrome 0x01
  count drop_ack_stale 1
  post SEND 4 (8)
  > nothing
)")

SCRIPT(Requester, RcvRnr_OfThePacketThatAsked_WaitsAndAsksAgain, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 msn 1 syndrome 0x00
  post SEND 2 (8)
  post SEND 3 (8)
  > SEND_ONLY psn 101
  < ACK psn 101 msn 1 syndrome 0x2c
  +0.0006 > nothing
  +0.0001 > SEND_ONLY psn 101
  > nothing
)")

// Item 89.
SCRIPT(Requester, Item89_RcvAck_OfWhatWasNeverSent_IsIgnored, R"(
  given RC
  post WRITE 1 (8)
  > WRITE_ONLY psn 100
  < ACK psn 101 msn 2
  < ACK psn 99 msn 0
  < ACK psn 5000 syndrome 0x62
  complete nothing
  count drop_ack_stale 3
  state RTS
)")

SCRIPT(Requester, NoAck_TimesOut_IsSentAgain, R"(
  given RC timeout 8
  post WRITE 1 (8)
  > WRITE_ONLY psn 100
  +0.001 > nothing
  +0.0001 > WRITE_ONLY psn 100
  count timeouts 1
  count retransmits 1
  < ACK psn 100 msn 1
  complete send 1 SUCCESS
)")

SCRIPT(Requester, NoAck_RetriesUsedUp_FailsThenFlushes, R"(
  given RC timeout 8 retry 2
  post WRITE 1 (8)
  post WRITE 2 (8)
  +0.1 > WRITE_ONLY psn 100
  > WRITE_ONLY psn 101
  > WRITE_ONLY psn 100
  > WRITE_ONLY psn 101
  > WRITE_ONLY psn 100
  > WRITE_ONLY psn 101
  > nothing
  complete send 1 RETRY_EXCEEDED
  complete send 2 FLUSHED
  state ERR
  post WRITE 3 (8)
  complete send 3 FLUSHED
)")

SCRIPT(Requester, NoAck_WithoutTimeout_WaitsForEver, R"(
  given RC timeout 0
  post WRITE 1 (8)
  > WRITE_ONLY psn 100
  +60 > nothing
)")

SCRIPT(Requester, RcvNakSequence_Rts_GoesBack, R"(
  given RC
  post WRITE 1 (8)
  post WRITE 2 (8)
  post WRITE 3 (8)
  > WRITE_ONLY psn 100
  > WRITE_ONLY psn 101
  > WRITE_ONLY psn 102
  < ACK psn 101 syndrome 0x60
  complete send 1 SUCCESS
  > WRITE_ONLY psn 101
  > WRITE_ONLY psn 102
)")

SCRIPT(Requester, RcvNakSequence_InTheMidstOfAMessage_ResumesThere, R"(
  given RC mtu 256
  post WRITE 1 (1000)
  > WRITE_ONLY psn 100 (1000)
  < ACK psn 102 syndrome 0x60
  > WRITE_LAST psn 102 (488)
  < ACK psn 103 msn 1
  complete send 1 SUCCESS
)")

SCRIPT(Requester, RcvRnr_Rts_WaitsAsToldAndSendsAgain, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  # 0.64 ms.
  < ACK psn 100 syndrome 0x2c
  +0.0006 > nothing
  +0.0001 > SEND_ONLY psn 100
  < ACK psn 100 msn 1
  complete send 1 SUCCESS
  count rx_rnr 1
)")

SCRIPT(Requester, RcvNakSequence_AfterRnr_UsesUpNoRetry, R"(
  given RC rnr_retry 7 retry 1
  post SEND 1 (1500)
  > SEND_ONLY psn 100 (1500)
  < ACK psn 100 syndrome 0x2c
  < ACK psn 100 syndrome 0x60
  +0.0006 > nothing
  +0.0001 > SEND_ONLY psn 100 (1500)
  < ACK psn 100 syndrome 0x2c
  < ACK psn 100 syndrome 0x60
  +0.0006 > nothing
  +0.0001 > SEND_ONLY psn 100 (1500)
  < ACK psn 101 msn 1
  complete send 1 SUCCESS
  count rx_rnr 2
)")

SCRIPT(Requester, RcvRnr_RetriesUsedUp_Fails, R"(
  given RC rnr_retry 1
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  +0.0001 > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  complete send 1 RNR_RETRY_EXCEEDED
  state ERR
)")

SCRIPT(Requester, RcvRnr_SevenIsForEver, R"(
  given RC rnr_retry 7
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  +0.0001 > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  +0.0001 > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  +0.0001 > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x21
  +0.0001 > SEND_ONLY psn 100
  state RTS
)")

SCRIPT(Requester, RcvNakInvalidRequest_FailsTheOneInQuestion, R"(
  given RC
  post WRITE 1 (8)
  post WRITE 2 (8)
  post WRITE 3 (8)
  > WRITE_ONLY psn 100
  > WRITE_ONLY psn 101
  > WRITE_ONLY psn 102
  < ACK psn 101 syndrome 0x61
  complete send 1 SUCCESS
  complete send 2 REMOTE_INVALID_REQUEST
  complete send 3 FLUSHED
  state ERR
)")
SCRIPT(Requester, RcvNakRemoteAccess_Fails, R"(
  given RC
  post READ 1 (8)
  > READ_REQUEST psn 100 len 8
  < ACK psn 100 syndrome 0x62
  complete send 1 REMOTE_ACCESS
  state ERR
)")
SCRIPT(Requester, RcvNakRemoteOperation_Fails, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x63
  complete send 1 REMOTE_OPERATION
)")

// Item 94.
SCRIPT(Requester, Item94_RcvReservedSyndrome_IsIgnored, R"(
  given RC
  post SEND 1 (8)
  > SEND_ONLY psn 100
  < ACK psn 100 syndrome 0x45
  < ACK psn 100 syndrome 0x7f
  < ACK psn 100 syndrome 0x9f
  count drop_syndrome 3
  complete nothing
  < ACK psn 100 msn 1
  complete send 1 SUCCESS
)")

SCRIPT(Requester, RcvReadResponses_InPackets_FillsMemory, R"(
  given RC mtu 256
  post READ 1 (600)
  > READ_REQUEST psn 100 len 600
  < READ_RESPONSE_FIRST psn 100 (256)
  < READ_RESPONSE_MIDDLE psn 101 (256)
  complete nothing
  < READ_RESPONSE_LAST psn 102 (88)
  complete send 1 SUCCESS (600)
)")

SCRIPT(Requester, RcvReadResponse_WithAGap_AsksForTheRest, R"(
  given RC mtu 256
  post READ 1 (1024)
  > READ_REQUEST psn 100 len 1024
  < READ_RESPONSE_FIRST psn 100 (256)
  < READ_RESPONSE_MIDDLE psn 102 (256)
  > READ_REQUEST psn 101 len 768 va 4352
  # What is still on its way asks for nothing more.
  < READ_RESPONSE_LAST psn 103 (256)
  > nothing
  < READ_RESPONSE_FIRST psn 101 (256)
  < READ_RESPONSE_MIDDLE psn 102 (256)
  < READ_RESPONSE_LAST psn 103 (256)
  complete send 1 SUCCESS (1024)
)")

SCRIPT(Requester, RcvReadResponse_AfterGoingBack_PutsTheTimeOutOff, R"(
  given RC mtu 256
  post READ 1 (1024)
  > READ_REQUEST psn 100 len 1024
  < READ_RESPONSE_FIRST psn 100 (256)
  < READ_RESPONSE_MIDDLE psn 102 (256)
  > READ_REQUEST psn 101 len 768 va 4352
  # The time-out is 1.05 ms.
  +0.0007 < READ_RESPONSE_LAST psn 103 (256)
  +0.0007 > nothing
  +0.0007 > READ_REQUEST psn 101 len 768 va 4352
  count timeouts 1
)")

SCRIPT(Requester, RcvAck_OfWhatWasAcknowledged_PutsTheTimeOutOff, R"(
  given RC mtu 256
  post WRITE 1 (1024)
  > WRITE_ONLY psn 100 (1024)
  < ACK psn 101 msn 1
  +0.0011 > WRITE_LAST psn 102 (512)
  # The peer has the front a second time, and says so: it is still at work on that.
  +0.0007 < ACK psn 101 msn 1
  +0.0007 > nothing
  +0.0007 > WRITE_LAST psn 102 (512)
  count timeouts 2
)")

SCRIPT(Requester, RcvAck_BeyondARead_MeansThatItsResponseIsLost, R"(
  given RC
  post READ 1 (8)
  post SEND 2 (8)
  > READ_REQUEST psn 100
  > SEND_ONLY psn 101
  < ACK psn 101 msn 2
  complete nothing
  > READ_REQUEST psn 100
  > SEND_ONLY psn 101
  < READ_RESPONSE_ONLY psn 100 (8)
  < ACK psn 101 msn 2
  complete send 1 SUCCESS (8)
  complete send 2 SUCCESS
)")

SCRIPT(Requester, RcvReadResponse_AcknowledgesWhatCameBefore, R"(
  given RC
  post SEND 1 (8)
  post READ 2 (8)
  > SEND_ONLY psn 100
  > READ_REQUEST psn 101
  < READ_RESPONSE_ONLY psn 101 (8)
  complete send 1 SUCCESS
  complete send 2 SUCCESS (8)
)")

SCRIPT(Requester, RcvReadResponse_OfTheWrongLength_BadResponse, R"(
  given RC
  post READ 1 (100)
  > READ_REQUEST psn 100
  < READ_RESPONSE_ONLY psn 100 (101)
  complete send 1 BAD_RESPONSE
  state ERR
  memory intact
)")
SCRIPT(Requester, RcvReadResponse_ToASend_IsDropped, R"(
  given RC
  post SEND 1 (100)
  > SEND_ONLY psn 100
  < READ_RESPONSE_ONLY psn 100 (100)
  complete nothing
  count drop_response 1
  memory intact
)")

SCRIPT(Requester, RcvAtomicAck_BringsTheFormerValue, R"(
  given RC
  post FETCH_ADD 1 (8)
  > FETCH_ADD psn 100
  < ATOMIC_ACK psn 100 msn 1
  complete send 1 SUCCESS (8)
  memory written
)")

SCRIPT(Requester, PostReads_BeyondTheAgreedNumber_Wait, R"(
  given RC rd_atomic 2
  post READ 1 (8)
  post READ 2 (8)
  post READ 3 (8)
  post SEND 4 (8)
  > READ_REQUEST psn 100
  > READ_REQUEST psn 101
  > nothing
  < READ_RESPONSE_ONLY psn 100 (8)
  > READ_REQUEST psn 102
  > SEND_ONLY psn 103
)")

SCRIPT(Requester, PostFenced_WaitsForReads, R"(
  given RC
  post READ 1 (8)
  post SEND 2 fence (8)
  > READ_REQUEST psn 100
  > nothing
  < READ_RESPONSE_ONLY psn 100 (8)
  > SEND_ONLY psn 101
)")

SCRIPT(Requester, PostWithABadKey_FailsAfterWhatWasBefore, R"(
  given RC
  post SEND 1 (8)
  post SEND 2 badkey (8)
  post SEND 3 (8)
  > SEND_ONLY psn 100
  > nothing
  complete nothing
  < ACK psn 100 msn 1
  complete send 1 SUCCESS
  complete send 2 LOCAL_PROTECTION
  complete send 3 FLUSHED
  state ERR
)")
SCRIPT(Requester, PostLocalInvalidate_OfAnUnknownKey_Fails, R"(
  given RC
  post LOCAL_INV 1
  complete send 1 LOCAL_QP_OPERATION
  state ERR
)")
SCRIPT(Requester, PostRead_IntoABadKey_FailsAtItsResponse, R"(
  given RC
  post READ 1 badkey (8)
  > READ_REQUEST psn 100
  < READ_RESPONSE_ONLY psn 100 (8)
  complete send 1 LOCAL_PROTECTION
  memory intact
)")

SCRIPT(UcRequester, Post_Rts_CompletesWhenItHasLeft, R"(
  given UC mtu 256
  post WRITE 1 (1000)
  > WRITE_ONLY psn 100 (1000)
  complete send 1 SUCCESS
  post SEND 2 badkey (8)
  complete send 2 LOCAL_PROTECTION
  state SQE
  # The receiving side goes on.
  recv 9 (8)
  < SEND_ONLY psn 100 (8)
  complete recv 9 SUCCESS (8)
)")

}  // namespace
}  // namespace tideline::rdma

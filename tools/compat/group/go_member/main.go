// A group member on sarama or on franz-go. See members.py for what it says on its output.
//
//	go_member sarama|franz BOOTSTRAP GROUP TOPIC MODE
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

var output sync.Mutex

func say(what string, numbers ...int64) {
	words := []string{what}
	for _, number := range numbers {
		words = append(words, strconv.FormatInt(number, 10))
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(strings.Join(words, " "))
}

func sayPartitions(what string, partitions []int32) {
	sort.Slice(partitions, func(a, b int) bool { return partitions[a] < partitions[b] })
	numbers := make([]int64, len(partitions))
	for index, partition := range partitions {
		numbers[index] = int64(partition)
	}
	say(what, numbers...)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A record is numbered like its offset.
func checkValue(value []byte, offset int64) {
	if string(value) != strconv.FormatInt(offset, 10) {
		check(fmt.Errorf("offset %d holds %q", offset, value))
	}
}

func main() {
	client, bootstrap, group, topic, mode := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	ms, err := strconv.Atoi(os.Getenv("SESSION_MS"))
	if err != nil {
		ms = 6000
	}
	session := time.Duration(ms) * time.Millisecond
	running, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if client == "sarama" {
		runSarama(running, bootstrap, group, topic, mode, session)
	} else {
		runFranz(running, bootstrap, group, topic, mode, session)
	}
}

// sarama lets everything go for a rebalance, whatever the assignor.
type handler struct{}

func (handler) Setup(session sarama.ConsumerGroupSession) error {
	for _, partitions := range session.Claims() {
		sayPartitions("+", append([]int32(nil), partitions...))
	}
	return nil
}

func (handler) Cleanup(session sarama.ConsumerGroupSession) error {
	session.Commit()
	for _, partitions := range session.Claims() {
		sayPartitions("-", append([]int32(nil), partitions...))
	}
	return nil
}

func (handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		checkValue(message.Value, message.Offset)
		say("r", int64(message.Partition), message.Offset, message.Offset+1)
		session.MarkMessage(message, "")
	}
	return nil
}

func runSarama(running context.Context, bootstrap, group, topic, mode string, session time.Duration) {
	config := sarama.NewConfig()
	config.ClientID = "sarama"
	config.Version = sarama.V3_6_0_0
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = 100 * time.Millisecond
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	config.Consumer.Group.Session.Timeout = session
	config.Consumer.Group.Heartbeat.Interval = time.Second
	strategies := map[string]sarama.BalanceStrategy{
		"eager":      sarama.NewBalanceStrategyRange(),
		"roundrobin": sarama.NewBalanceStrategyRoundRobin(),
		"sticky":     sarama.NewBalanceStrategySticky(),
	}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[mode]}
	consumer, err := sarama.NewConsumerGroup([]string{bootstrap}, group, config)
	check(err)
	for running.Err() == nil {
		if err := consumer.Consume(running, []string{topic}, handler{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	check(consumer.Close())
}

func runFranz(running context.Context, bootstrap, group, topic, mode string, session time.Duration) {
	balancers := map[string]kgo.GroupBalancer{
		"eager":       kgo.RangeBalancer(),
		"roundrobin":  kgo.RoundRobinBalancer(),
		"sticky":      kgo.StickyBalancer(),
		"cooperative": kgo.CooperativeStickyBalancer(),
	}
	told := func(what string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			for _, partitions := range topics {
				sayPartitions(what, append([]int32(nil), partitions...))
			}
		}
	}
	revoked := func(ctx context.Context, consumer *kgo.Client, topics map[string][]int32) {
		if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		told("-")(ctx, consumer, topics)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.ClientID("franz-go"),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(told("+")),
		kgo.OnPartitionsRevoked(revoked),
		kgo.OnPartitionsLost(told("-")),
	}
	if mode == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		options = append(options, kgo.Balancers(balancers[mode]), kgo.SessionTimeout(session), kgo.HeartbeatInterval(time.Second))
	}
	consumer, err := kgo.NewClient(options...)
	check(err)
	for running.Err() == nil {
		fetches := consumer.PollFetches(running)
		fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
			if len(fetched.Records) == 0 {
				return
			}
			for _, record := range fetched.Records {
				checkValue(record.Value, record.Offset)
			}
			last := fetched.Records[len(fetched.Records)-1].Offset
			say("r", int64(fetched.Partition), fetched.Records[0].Offset, last+1)
		})
		if err := consumer.CommitUncommittedOffsets(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		consumer.AllowRebalance()
	}
	consumer.CloseAllowingRebalance()
}

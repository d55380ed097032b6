// One binary for every part of a Kubernetes node, chosen by its first argument.
// Linking the parts together links, and starts, once: 132 MB.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controller "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: node etcd|apiserver|controller-manager|scheduler|kubelet|proxy|dns|provisioner [flags]")
		os.Exit(2)
	}
	part := os.Args[1]
	os.Args = append([]string{os.Args[0] + "-" + part}, os.Args[2:]...)
	var cmd *cobra.Command
	switch part {
	case "etcd":
		etcdmain.Main(os.Args)
		return
	case "dns":
		serveNames()
		return
	case "provisioner":
		provision()
		return
	case "apiserver":
		cmd = apiserver.NewAPIServerCommand()
	case "controller-manager":
		cmd = controller.NewControllerManagerCommand()
	case "scheduler":
		cmd = scheduler.NewSchedulerCommand()
	case "kubelet":
		cmd = kubelet.NewKubeletCommand(context.Background())
	case "proxy":
		cmd = proxy.NewProxyCommand()
	default:
		fmt.Fprintln(os.Stderr, "unknown part", part)
		os.Exit(2)
	}
	os.Exit(cli.Run(cmd))
}

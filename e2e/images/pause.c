// The first process of every pod: holds its namespaces and collects orphans.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void down(int signal) {
  (void)signal;
  _exit(0);
}

static void collect(int signal) {
  (void)signal;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction end = {0}, child = {0};
  end.sa_handler = down;
  child.sa_handler = collect;
  child.sa_flags = SA_NOCLDSTOP;
  if (sigaction(SIGINT, &end, 0) || sigaction(SIGTERM, &end, 0) || sigaction(SIGCHLD, &child, 0)) return 1;
  for (;;) pause();
}
